/** A gRPC client on node:http2 with nothing hidden, for tests of servers. */
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { MessageReader, messagePrefix } from '../message-reader.ts';

/** How a call ended. */
export interface Finished {
  /** HTTP status. */
  readonly httpStatus: number;
  readonly headers: IncomingHttpHeaders;
  readonly messages: readonly Uint8Array[];
  /** grpc-status; null when the stream ended without one. */
  readonly status: number | null;
  readonly grpcMessage: string | null;
  /** Trailers, or the headers of a trailers-only response. */
  readonly trailers: IncomingHttpHeaders;
  readonly rstCode: number;
}

/** One open call. */
export class TestCall {
  readonly stream: ClientHttp2Stream;
  readonly finished: Promise<Finished>;
  readonly messages: Uint8Array[] = [];
  #waiting: (() => void) | null = null;

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream;
    this.finished = this.#follow();
  }

  send(message: Uint8Array): void {
    this.stream.write(Buffer.concat([messagePrefix(message.length), message]));
  }

  /** Resolves when `count` messages have arrived. */
  async received(count: number): Promise<readonly Uint8Array[]> {
    while (this.messages.length < count) {
      if (this.stream.destroyed)
        throw new Error(`stream over after ${this.messages.length} messages`);
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
    return this.messages;
  }

  #follow(): Promise<Finished> {
    const reader = new MessageReader(2 ** 31, { hold: () => true, release() {} });
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | null = null;
    this.stream.on('response', (received) => {
      headers = received;
    });
    this.stream.on('trailers', (received) => {
      trailers = received;
    });
    this.stream.on('data', (chunk: Uint8Array) => {
      reader.push(chunk);
      for (let message = reader.next(); message !== null; message = reader.next()) {
        this.messages.push(message.slice());
      }
      this.#waiting?.();
    });
    // A reset is an outcome here: rstCode tells it.
    this.stream.on('error', () => this.#waiting?.());
    return new Promise((resolve) => {
      this.stream.on('close', () => {
        this.#waiting?.();
        const last = trailers ?? headers;
        const status = last['grpc-status'];
        const message = last['grpc-message'];
        resolve({
          httpStatus: Number(headers[':status'] ?? 0),
          headers,
          messages: this.messages,
          status: typeof status === 'string' ? Number(status) : null,
          grpcMessage: typeof message === 'string' ? decodeURIComponent(message) : null,
          trailers: last,
          rstCode: this.stream.rstCode,
        });
      });
    });
  }
}

export class TestClient {
  readonly session: ClientHttp2Session;
  /** Resolves when the connection is gone. */
  readonly closed: Promise<unknown>;

  constructor(port: number, settings: { initialWindowSize?: number } = {}) {
    this.session = connect(`http://127.0.0.1:${port}`, { settings });
    // A cut connection is an outcome here: `closed` tells it.
    this.session.on('error', () => this.session.destroy());
    this.closed = once(this.session, 'close');
  }

  open(path: string, headers: OutgoingHttpHeaders = {}): TestCall {
    return new TestCall(
      this.session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      }),
    );
  }

  unary(path: string, request: Uint8Array, headers: OutgoingHttpHeaders = {}): Promise<Finished> {
    const call = this.open(path, headers);
    call.send(request);
    call.stream.end();
    return call.finished;
  }

  async close(): Promise<void> {
    this.session.destroy();
    await this.closed;
  }
}
