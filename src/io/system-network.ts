import { createServer, Socket } from 'node:net';
import { boundedLookup } from './bounded-lookup.ts';
import type { Address, Connection, ConnectionHandlers, Listener, Network } from './network.ts';

/** Half of Node's threads at most: the log needs one at any time. */
const LOOKUPS_IN_FLIGHT_MAX = 2;
const lookUp = boundedLookup(LOOKUPS_IN_FLIGHT_MAX);

/** TCP of the machine. Small writes leave at once (no Nagle); errors arrive at `onClose` only. */
export const systemNetwork: Network = { listen, connect };

function listen(
  address: Address,
  onConnection: (connection: Connection) => void,
): Promise<Listener> {
  return new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
      onConnection(new SocketConnection(socket, remoteOf(socket)));
    });
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

function connect(address: Address): Connection {
  // Not as options of connect(), which ignores them: Nagle's algorithm would wait for a delayed
  // acknowledgement, 40 ms, behind every small message on a lane where nothing flows back.
  const socket = new Socket().setNoDelay(true).setKeepAlive(true);
  const connection = new SocketConnection(socket, `${address.host}:${address.port}`);
  try {
    const { host, port } = address;
    socket.connect({ host, port, lookup: lookUp });
  } catch (error) {
    // Refused before it began (a port out of range): the owner learns it as any other failure.
    socket.destroy(error instanceof Error ? error : new Error(String(error)));
  }
  return connection;
}

function remoteOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket;
  return remoteAddress === undefined ? 'unknown' : `${remoteAddress}:${remotePort}`;
}

/** One socket. Events that come before `start` are kept for it. */
class SocketConnection implements Connection {
  readonly remote: string;
  readonly #socket: Socket;
  #handlers: ConnectionHandlers | null = null;
  /** Why the socket failed; null while it has not. */
  #error: Error | null = null;

  constructor(socket: Socket, remote: string) {
    this.#socket = socket;
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
    socket.on('connect', () => handlers.onOpen?.());
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

  destroy(): void {
    this.#socket.destroy();
  }
}
