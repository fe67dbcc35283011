import type { Socket } from 'node:net';
import type { Connection, ConnectionHandlers } from '../../io/index.ts';

/**
 * The byte stream under an HTTP/2 connection: a TCP or TLS socket, or what a simulation or a test
 * puts in its place.
 */
export interface Wire
  extends Pick<Connection, 'remote' | 'bufferedBytes' | 'start' | 'write' | 'destroy'> {
  /** Sends what is buffered, then the end; the other side may still send. */
  end(): void;
}

/** An accepted socket (`node:net`, `node:tls`); bytes already read were unshifted to it. */
export function socketWire(socket: Socket): Wire {
  let failure: Error | null = null;
  socket.setNoDelay(true);
  // 'close' follows and tells the owner.
  socket.on('error', (error) => {
    failure = error;
  });
  return {
    remote: socket.remoteAddress ?? 'unknown',
    get bufferedBytes() {
      return socket.writableLength;
    },
    start(handlers: ConnectionHandlers) {
      socket.on('data', (chunk: Uint8Array) => handlers.onData(chunk));
      socket.on('drain', () => handlers.onDrain?.());
      socket.on('close', () => handlers.onClose(failure));
      // HTTP/2 has no use for half a connection: who has ended does not wait for answers.
      socket.on('end', () => socket.destroySoon());
      if (socket.closed) process.nextTick(() => handlers.onClose(failure));
      socket.resume();
    },
    write: (bytes) => !socket.destroyed && socket.write(bytes),
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
  };
}
