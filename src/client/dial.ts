import { connect as connectPlain, isIP, type Socket } from 'node:net';
import {
  connect as connectTls,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from 'node:tls';
import { KvError } from '../api/index.ts';
import { TLS_PROTOCOL } from '../io/index.ts';
import type { Endpoint } from './endpoint.ts';

/** How `https` endpoints are believed, and as whom one comes. All PEM. */
export interface ClerkTls {
  /** Authorities whose certificates are believed. Default: those that Node brings. */
  readonly ca?: string | Uint8Array;
  /** The certificate to show, if the members ask for one; with its intermediates. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  /** Believe anybody: for tests only. Default: false. */
  readonly insecureSkipVerify?: boolean;
}

/** A socket that is connecting. */
export interface Dialled {
  readonly socket: Socket;
  /** Why no HTTP/2 came of it, in words that help; null when there is nothing to add. */
  problem(error: Error | null): string | null;
}

/** Opens the socket for a connection, plain or TLS; what fails arrives as its `error`. */
export type Dial = (endpoint: Endpoint) => Dialled;

/** @throws KvError INVALID_ARGUMENT for keys and certificates that cannot be used. */
export function dialer(tls: ClerkTls | undefined): Dial {
  const context = tls === undefined ? undefined : contextOf(tls);
  return ({ host, port, tls: secure }) => {
    if (!secure) return plain(connectPlain({ host, port, noDelay: true }));
    const socket = connectTls({
      host,
      port,
      // Server names are names: addresses must not be sent as such (RFC 6066, section 3).
      servername: isIP(host) === 0 ? host : '',
      ALPNProtocols: ['h2'],
      rejectUnauthorized: tls?.insecureSkipVerify !== true,
      secureContext: context,
    });
    return secured(socket.setNoDelay(true));
  };
}

function plain(socket: Socket): Dialled {
  return {
    socket,
    problem: (error: (Error & Facts) | null) =>
      error?.code === 'ERR_HTTP2_ERROR'
        ? 'does not speak HTTP/2 without TLS: is it an https:// endpoint?'
        : null,
  };
}

function secured(socket: TLSSocket): Dialled {
  let isSecure = false;
  let failure: (Error & Facts) | null = null;
  socket.once('secureConnect', () => {
    isSecure = true;
  });
  socket.on('error', (error) => {
    failure ??= error;
  });
  return {
    socket,
    problem() {
      const { code, reason, message } = failure ?? {};
      if (isSecure) {
        // A certificate is shown in the very last flight of the handshake.
        return failure === null || code === 'ECONNRESET'
          ? 'hung up after the TLS handshake: it may not accept the certificate shown (see its log)'
          : null;
      }
      if (NO_TLS.has(reason ?? '')) return 'does not speak TLS: is it an http:// endpoint?';
      const isSystem = failure === null || SYSTEM_CODE.test(String(code));
      if (isSystem) return null;
      // OpenSSL's messages are full of addresses; its reasons, and Node's messages, are words.
      return `TLS: ${String(code).startsWith('ERR_SSL_') ? reason : message}`;
    },
  };
}

/** What Node and OpenSSL add to errors. */
interface Facts {
  readonly code?: unknown;
  readonly reason?: unknown;
}

/** How OpenSSL sees text where TLS should be. */
const NO_TLS: ReadonlySet<unknown> = new Set(['wrong version number', 'packet length too long']);
/** The operating system's names: ECONNREFUSED, ETIMEDOUT, … */
const SYSTEM_CODE = /^E[A-Z]+$/;

function contextOf({ ca, cert, key }: ClerkTls): SecureContext {
  if ((cert === undefined) !== (key === undefined)) {
    throw new KvError('INVALID_ARGUMENT', 'tls: certificate and key are needed both, or none');
  }
  try {
    return createSecureContext({
      ...TLS_PROTOCOL,
      ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
      ...(cert === undefined ? {} : { cert: Buffer.from(cert) }),
      ...(key === undefined ? {} : { key: Buffer.from(key) }),
    });
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new KvError('INVALID_ARGUMENT', `tls: cannot be used: ${said}`, { cause });
  }
}
