import type { Server, Socket } from 'node:net';
import type { Address, Connection, ConnectionHandlers, Listener } from './network.ts';

/** One socket, plain or TLS. Events that come before `start` are kept for it. */
export class SocketConnection implements Connection {
  readonly remote: string;
  readonly #socket: Socket;
  readonly #kind: SocketKind;
  #handlers: ConnectionHandlers | null = null;
  /** Why the socket failed; null while it has not. */
  #error: Error | null = null;

  constructor(socket: Socket, remote: string, kind: SocketKind) {
    this.#socket = socket;
    this.#kind = kind;
    this.remote = remote;
    socket.on('error', (error) => {
      this.#error = error;
    });
    // The other side will not speak again, and neither side of ours lives on half a connection.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => this.#handlers?.onClose(this.#error));
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  start(handlers: ConnectionHandlers): void {
    const socket = this.#socket;
    this.#handlers = handlers;
    if (socket.closed) {
      setImmediate(() => handlers.onClose(this.#error));
      return;
    }
    socket.on(this.#kind.openEvent, () => handlers.onOpen?.());
    socket.on('drain', () => handlers.onDrain?.());
    socket.on('data', (chunk: Buffer) => {
      // A plain Uint8Array: Buffer's slice() would be a view where the owner expects a copy.
      handlers.onData(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    });
  }

  write(bytes: Uint8Array): boolean {
    if (this.#socket.destroyed) return false;
    return this.#socket.write(bytes);
  }

  provesHost(host: string): boolean {
    return this.#kind.provesHost(host);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** What differs between plain sockets and TLS. */
export interface SocketKind {
  /** The event after which an outgoing connection may be written to. */
  readonly openEvent: 'connect' | 'secureConnect';
  readonly provesHost: (host: string) => boolean;
}

export const PLAIN: SocketKind = { openEvent: 'connect', provesHost: () => true };

/** The other side of an accepted socket, for log lines. */
export function remoteOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  return remoteAddress === undefined ? 'unknown' : `${remoteAddress}:${remotePort}`;
}

/** Lets a server listen; rejects with the system's error. Closing it leaves connections alone. */
export function startListening(server: Server, address: Address): Promise<Listener> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address.host, port: address.port }, () => {
      server.off('error', reject);
      // A failed accept (out of descriptors) concerns one connection: who wanted it dials again.
      server.on('error', () => {});
      const bound = server.address();
      const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
      let closed = false;
      resolve({
        address: { host: address.host, port },
        async close() {
          if (closed) return;
          closed = true;
          // The callback of close() would wait for the open connections, which stay; the port is
          // free as soon as close() returns.
          server.close();
        },
      });
    });
  });
}
