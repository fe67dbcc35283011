import http2 from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import {
  decodeCommand,
  decodeExecuteRequests,
  encodeExecuteReplies,
  encodeHello,
  encodeStatus,
  type MemberStatus,
} from '../../api/index.ts';
import { FrameReader, frameOf } from '../grpc-frames.ts';
import { FakeStore } from './fake-store.ts';

/** A one-member cluster on a real socket, on Node's own HTTP/2 server. */
export class GrpcServer {
  readonly store = new FakeStore();
  readonly address: string;
  readonly #server: http2.Http2Server;
  readonly #sockets = new Set<Socket>();
  #connections = 0;

  private constructor(server: http2.Http2Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    this.address = `127.0.0.1:${port}`;
    server.on('connection', (socket: Socket) => {
      this.#connections++;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  /** `handle` replaces the usual answer to a stream. */
  static async start(
    handle?: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  ): Promise<GrpcServer> {
    const server = http2.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const started = new GrpcServer(server);
    server.on('stream', (stream, headers) => {
      // A client that leaves resets its streams: that is no fault of this server.
      stream.on('error', (error) => server.emit('streamError', error));
      if (handle !== undefined) handle(stream, headers);
      else if (headers[':path'] === '/quorate.v1.Clerk/Execute') started.#execute(stream);
      else started.#status(stream);
    });
    return started;
  }

  /** Connections accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #execute(stream: http2.ServerHttp2Stream): void {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' });
    stream.write(frameOf(encodeHello({ clusterId: 7n, memberId: 1n })));
    const frames = new FrameReader(1 << 24);
    stream.on('data', (chunk: Uint8Array) => {
      for (const message of frames.push(chunk)) {
        const replies = decodeExecuteRequests(message).map(({ id, body }) => {
          if (body.type === 'withdrawal') throw new Error('nothing waits here');
          const answer =
            body.type === 'command'
              ? this.store.execute(decodeCommand(body.command))
              : this.store.read(body.query);
          return { id, answer };
        });
        stream.write(frameOf(encodeExecuteReplies(replies)));
      }
    });
  }

  #status(stream: http2.ServerHttp2Stream): void {
    stream.respond(
      { ':status': 200, 'content-type': 'application/grpc' },
      { waitForTrailers: true },
    );
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(frameOf(encodeStatus(STATUS)));
  }
}

export const STATUS: MemberStatus = {
  clusterId: 7n,
  memberId: 1n,
  name: 'm1',
  version: '0.1.0',
  role: 'leader',
  leader: null,
  term: 3,
  commitIndex: 5,
  appliedIndex: 5,
  revision: 4,
  stateHash: 'ab',
  sessions: 1,
  logBytes: 100,
};
