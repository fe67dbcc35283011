import { isIP, Socket } from 'node:net';
import { connect as connectTls, type DetailedPeerCertificate } from 'node:tls';
import { assert } from '../lib/index.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import type { Address, Connection, Listener, Network } from './network.ts';
import {
  PLAIN,
  remoteOf,
  SocketConnection,
  type SocketKind,
  startListening,
} from './socket-connection.ts';
import { lookUp } from './system-network.ts';
import type { TlsMaterial } from './tls-material.ts';
import {
  ALL_NAMES,
  type AllowedNames,
  coversHost,
  readShown,
  refusalOf,
  type ShownCertificate,
} from './tls-rules.ts';
import { createTlsServer, ShownSockets, type TlsServerOptions } from './tls-server.ts';

export interface TlsNetworkOptions {
  /** Must name a trusted authority: whoever it has signed belongs to us. */
  readonly material: TlsMaterial;
  /** Default: everybody the authority has signed. */
  readonly allowed?: AllowedNames;
  /**
   * Whether callers prove by their certificate which host they are (`Connection.provesHost`).
   * Default true. etcd: `--experimental-peer-skip-client-san-verification` is the opposite.
   */
  readonly proveHosts?: boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Default TLS_LIMITS. */
  readonly limits?: TlsServerOptions['limits'];
}

/**
 * TCP with mutual TLS: both sides show a certificate of the trusted authority, and the one that is
 * dialled must cover the host that was dialled. Who fails is cut off before a byte is exchanged.
 * @throws InvariantViolation when the material has no `trustedCaFile`.
 */
export function tlsNetwork(options: TlsNetworkOptions): Network {
  return new MutualTlsNetwork(options);
}

class MutualTlsNetwork implements Network {
  readonly #options: TlsNetworkOptions;
  readonly #allowed: AllowedNames;
  /** Connections that we dialled. */
  readonly #dialled: ShownSockets;

  constructor(options: TlsNetworkOptions) {
    const ownAuthority = options.material.current.server.ca !== undefined;
    assert(ownAuthority, 'mutual TLS without a trusted CA of its own');
    this.#options = options;
    this.#allowed = options.allowed ?? ALL_NAMES;
    this.#dialled = new ShownSockets(options.material);
  }

  listen(address: Address, onConnection: (connection: Connection) => void): Promise<Listener> {
    const { material, clock, log, limits = {}, proveHosts = true } = this.#options;
    const rules = { askCertificate: true, allowed: this.#allowed, protocols: [] };
    const server = createTlsServer({ material, ...rules, clock, log, limits }, (socket, shown) => {
      const kind = proveHosts ? kindOf(() => shown) : PLAIN;
      onConnection(new SocketConnection(socket, remoteOf(socket), kind));
    });
    return startListening(server, address);
  }

  connect(address: Address): Connection {
    const { host, port } = address;
    const remote = `${host}:${port}`;
    let shown: ShownCertificate | null = null;
    const kind = kindOf(() => shown);
    try {
      const socket = connectTls({
        host,
        port,
        lookup: lookUp,
        // Server names are names: addresses must not be sent as such (RFC 6066, section 3).
        servername: isIP(host) === 0 ? host : '',
        secureContext: this.#options.material.current.client,
        rejectUnauthorized: true,
        checkServerIdentity: (_name, peer) => {
          shown = readShown(peer as DetailedPeerCertificate);
          const refusal = this.#refusalOfListener(shown, host);
          if (refusal !== null) return new Error(refusal);
          this.#dialled.add(socket, shown as ShownCertificate);
          return undefined;
        },
      });
      socket.setNoDelay(true).setKeepAlive(true);
      return new SocketConnection(socket, remote, kind);
    } catch (error) {
      // Refused before it began (a port out of range): the owner learns it as any other failure.
      const socket = new Socket();
      const connection = new SocketConnection(socket, remote, kind);
      socket.destroy(error instanceof Error ? error : new Error(String(error)));
      return connection;
    }
  }

  /** Called when the authority's signature was found good. */
  #refusalOfListener(shown: ShownCertificate | null, host: string): string | null {
    if (shown === null) return 'no certificate was shown';
    if (!coversHost(shown.leaf, host)) {
      return `certificate does not cover '${host}': ${shown.leaf.subjectAltName ?? 'no names'}`;
    }
    return refusalOf(shown, this.#allowed, this.#options.material.current.revoked);
  }
}

function kindOf(shown: () => ShownCertificate | null): SocketKind {
  return {
    openEvent: 'secureConnect',
    provesHost: (host) => {
      const certificate = shown();
      return certificate !== null && coversHost(certificate.leaf, host);
    },
  };
}
