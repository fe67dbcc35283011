import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { assert } from '../lib/index.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import { RepeatGate } from './repeat-gate.ts';
import { remoteOf } from './socket-connection.ts';
import { TLS_LIMITS } from './tls-limits.ts';
import type { TlsMaterial } from './tls-material.ts';
import {
  type AllowedNames,
  isRevoked,
  readShown,
  refusalOf,
  type ShownCertificate,
} from './tls-rules.ts';

export interface TlsServerOptions {
  readonly material: TlsMaterial;
  /** Callers must show a certificate of the trusted authority; otherwise none is asked for. */
  readonly askCertificate: boolean;
  /** Which of those certificates are accepted. */
  readonly allowed: AllowedNames;
  /** What is spoken inside (ALPN), the preferred first; empty: that is not negotiated. */
  readonly protocols: readonly string[];
  readonly clock: Clock;
  readonly log: Log;
  /** Default TLS_LIMITS. */
  readonly limits?: { readonly handshakeTimeoutMs?: number; readonly handshakesMax?: number };
}

/** An accepted connection whose handshake is complete and whose caller may come in. */
export type OnCaller = (socket: TLSSocket, shown: ShownCertificate | null) => void;

/**
 * A TLS server, not yet listening: hands out callers that passed every check, counts and bounds
 * those that have not yet, takes new certificates into force, and cuts callers once revoked.
 * @throws InvariantViolation when certificates are asked for and no `trustedCaFile` is given.
 */
export function createTlsServer(options: TlsServerOptions, onCaller: OnCaller): Server {
  const { material, allowed } = options;
  // Otherwise everybody with a certificate of a public authority would be believed.
  const ownAuthority = material.current.server.ca !== undefined;
  assert(!options.askCertificate || ownAuthority, 'certificates asked for without a trusted CA');
  const limits = { ...TLS_LIMITS, ...options.limits };
  const handshakes = new Handshakes(limits.handshakesMax);
  const callers = new ShownSockets(material);
  const refuse = refuser(new RepeatGate(options.log, options.clock));
  const server = createServer({
    ...material.current.server,
    requestCert: options.askCertificate,
    // Node would cut such a caller without a word for the log: `invalidityOf` finds the word.
    rejectUnauthorized: false,
    handshakeTimeout: limits.handshakeTimeoutMs,
    ...(options.protocols.length > 0 ? { ALPNProtocols: [...options.protocols] } : {}),
    noDelay: true,
    keepAlive: true,
  });
  server.on('connection', (socket: Socket) => {
    const evicted = handshakes.begin(socket);
    if (evicted !== null) refuse(evicted, 'too many connections wait for a TLS handshake');
  });
  server.on('tlsClientError', (error, socket) => refuse(socket, reasonOf(error)));
  server.on('secureConnection', (socket) => {
    handshakes.end(socket);
    socket.on('error', () => socket.destroy());
    const invalid = options.askCertificate ? invalidityOf(socket) : null;
    if (invalid !== null) return refuse(socket, invalid);
    const shown = options.askCertificate ? readShown(socket.getPeerCertificate(true)) : null;
    const refusal = shown === null ? null : refusalOf(shown, allowed, material.current.revoked);
    if (refusal !== null) return refuse(socket, refusal);
    if (shown !== null) callers.add(socket, shown);
    onCaller(socket, shown);
  });
  const forget = material.onChange(() => server.setSecureContext(material.current.server));
  server.on('close', () => {
    forget();
    callers.close();
    handshakes.close();
  });
  return server;
}

/** Why what a caller showed proves nothing; null when the trusted authority has signed it. */
function invalidityOf(socket: TLSSocket): string | null {
  if (socket.authorized) return null;
  if (socket.getPeerX509Certificate() === undefined) return 'no certificate was shown';
  return `certificate is not valid: ${String(socket.authorizationError)}`;
}

/** Cuts a caller off, and says why in the log. */
function refuser(log: RepeatGate): (socket: Socket, reason: string | null) => void {
  return (socket, reason) => {
    const remote = remoteOf(socket);
    socket.destroy();
    // Gone before it said anything: a probe of the port is no trouble.
    if (reason === null) return;
    const host = remote.replace(/:\d+$/, '');
    log.warn(`${host} ${reason}`, 'TLS: caller refused', { remote, reason });
  };
}

/** What went wrong in a handshake, without OpenSSL's addresses; null when the caller just left. */
function reasonOf(error: Error): string | null {
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  if (code === 'ECONNRESET') return null;
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'TLS handshake took too long';
  return typeof reason === 'string' ? reason : error.message;
}

/** Connections with the certificates they rest on: cut when those are revoked. */
export class ShownSockets {
  readonly #sockets = new Map<TLSSocket, ShownCertificate>();
  readonly #forget: () => void;

  constructor(material: TlsMaterial) {
    this.#forget = material.onChange(() => {
      for (const [socket, shown] of this.#sockets) {
        if (isRevoked(shown, material.current.revoked)) socket.destroy();
      }
    });
  }

  add(socket: TLSSocket, shown: ShownCertificate): void {
    this.#sockets.set(socket, shown);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  close(): void {
    this.#forget();
  }
}

/** Accepted connections whose handshake is not complete, the oldest first. Bounded. */
class Handshakes {
  readonly #max: number;
  readonly #sockets = new Map<string, Socket>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Returns the oldest when it must make room. */
  begin(socket: Socket): Socket | null {
    const key = linkOf(socket);
    this.#sockets.set(key, socket);
    socket.once('close', () => {
      if (this.#sockets.get(key) === socket) this.#sockets.delete(key);
    });
    if (this.#sockets.size <= this.#max) return null;
    for (const [oldest, waiting] of this.#sockets) {
      this.#sockets.delete(oldest);
      return waiting;
    }
    return null;
  }

  end(socket: Socket): void {
    this.#sockets.delete(linkOf(socket));
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
  }
}

/** Names a connection: a TLS socket and the plain one beneath it have the same. */
function linkOf(socket: Socket): string {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  return `${remoteAddress}:${remotePort}>${localAddress}:${localPort}`;
}
