import type { IncomingMessage, ServerResponse } from 'node:http';

/** What happens to an exchange. */
export interface HttpHandlers {
  /** Bytes of the body. */
  onData(bytes: Uint8Array): void;
  /** The body is complete. */
  onEnd(): void;
  /** All that was written has been taken over by the connection. */
  onDrain(): void;
  /** The server is being closed: finish soon. */
  onStopping?(): void;
  /** It is over: answered in full, or the client is gone. Last. */
  onClosed(): void;
}

/** A request over HTTP and its answer. */
export interface HttpExchange {
  readonly method: string;
  readonly url: string;
  /** Without the query. */
  readonly path: string;
  /** The other side's address, for log lines. */
  readonly remote: string;
  /** A header of the request, by its name in lower case; null when absent. */
  header(name: string): string | null;
  /** Says who listens; once, in the turn in which the request came. */
  listen(handlers: HttpHandlers): void;
  respond(status: number, headers: Readonly<Record<string, string>>): void;
  /** One chunk of HTTP/1.1: clients take a chunk for a message. The bytes must not change. */
  write(bytes: Uint8Array): void;
  end(): void;
  /** Written, and not taken by the connection yet. */
  readonly bufferedBytes: number;
  pause(): void;
  resume(): void;
  /** Ends it at once, whatever was said. */
  destroy(): void;
}

/** A request of `node:http`. */
export function nodeExchange(request: IncomingMessage, response: ServerResponse): HttpExchange {
  const url = request.url ?? '';
  const query = url.indexOf('?');
  return {
    method: request.method ?? '',
    url,
    path: query === -1 ? url : url.slice(0, query),
    remote: request.socket.remoteAddress ?? '',
    header(name) {
      const value = request.headers[name];
      if (value === undefined) return null;
      return typeof value === 'string' ? value : (value[0] ?? null);
    },
    listen(handlers) {
      request.on('data', (bytes: Uint8Array) => handlers.onData(bytes));
      request.on('end', () => handlers.onEnd());
      // What goes wrong with the connection ends in `close`; an answer may come before that.
      request.on('error', () => response.destroy());
      response.on('error', () => response.destroy());
      response.on('drain', () => handlers.onDrain());
      response.on('close', () => handlers.onClosed());
    },
    respond: (status, headers) => void response.writeHead(status, headers),
    write: (bytes) => void response.write(bytes),
    end: () => void response.end(),
    get bufferedBytes() {
      return response.writableLength;
    },
    pause: () => void request.pause(),
    resume: () => void request.resume(),
    destroy: () => void response.destroy(),
  };
}
