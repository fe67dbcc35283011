import { type Http2Stream, headerList } from '../grpc/index.ts';
import type { HttpExchange } from './exchange.ts';

const NOTHING = new Uint8Array(0);

/** A request of our own HTTP/2, that came to the same port as gRPC does. */
export function http2Exchange(stream: Http2Stream): HttpExchange {
  const { method, path: url, authority, fields } = stream.head;
  const query = url.indexOf('?');
  return {
    method,
    url,
    path: query === -1 ? url : url.slice(0, query),
    remote: stream.remote,
    header(name) {
      if (name === 'host' && authority !== null) return authority;
      return fields.find((field) => field.name === name)?.value ?? null;
    },
    listen(handlers) {
      stream.listen({
        onData(bytes) {
          // What is kept of a request is counted until its stream is over.
          if (stream.hold(bytes.length)) handlers.onData(bytes);
          else stream.reset('ENHANCE_YOUR_CALM');
        },
        onEnd: () => handlers.onEnd(),
        onDrain: () => handlers.onDrain(),
        onClosed: () => handlers.onClosed(),
        onStopping: () => handlers.onStopping?.(),
      });
    },
    respond: (status, headers) =>
      stream.respond(headerList({ ':status': `${status}`, ...headers })),
    write(bytes) {
      if (!stream.write(NOTHING, bytes)) stream.reset('ENHANCE_YOUR_CALM');
    },
    // No trailers: an empty list of them ends the stream.
    end: () => stream.end(headerList({})),
    get bufferedBytes() {
      return stream.bufferedBytes;
    },
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    destroy: () => stream.reset('CANCEL'),
  };
}
