import { createServer, type Http2Server, type Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { type Clock, type Log, systemClock } from '../io/index.ts';
import { type CallContext, ServerCall } from './call.ts';
import { GrpcConnection } from './connection.ts';
import { GRPC_LIMITS, type GrpcLimits } from './limits.ts';
import type { GrpcMethod } from './method.ts';

/** Serves gRPC on sockets that somebody else accepted. */
export interface GrpcServer {
  /** Takes over a socket that speaks HTTP/2; bytes already read were unshifted to it. */
  handleSocket(socket: Socket): void;
  /** Lets open calls finish for closeMs (see `onStopping`), then cuts them. Safe to call twice. */
  close(): Promise<void>;
}

export interface GrpcServerOptions {
  /** By path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  readonly log: Log;
  /** Default GRPC_LIMITS. */
  readonly limits?: Partial<GrpcLimits>;
  /** Default the machine's. */
  readonly clock?: Clock;
  /** A method threw something else than a GrpcError. Default: a line in the log. */
  readonly onDefect?: (error: Error) => void;
}

/** A gRPC server on node:http2: the one place that knows of it. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  return new Http2GrpcServer(options);
}

class Http2GrpcServer implements GrpcServer {
  readonly #context: CallContext;
  readonly #http2: Http2Server;
  readonly #connections = new Map<Http2Session, GrpcConnection>();
  /** Called by the last connection that goes. */
  #onEmpty: () => void = () => {};
  #closing: Promise<void> | null = null;

  constructor({ methods, log, limits, clock = systemClock, onDefect }: GrpcServerOptions) {
    this.#context = {
      methods,
      log,
      clock,
      limits: { ...GRPC_LIMITS, ...limits },
      onDefect: onDefect ?? ((error) => log.error('grpc method failed', { err: error })),
    };
    this.#http2 = createServer(http2Options(this.#context.limits));
    this.#http2.on('session', (session) => this.#addConnection(session));
    this.#http2.on('sessionError', (error) => log.debug(`grpc connection: ${error.message}`));
    this.#http2.on('error', (error) => log.warn(`grpc server: ${error.message}`));
    this.#http2.on('stream', (stream, headers) => {
      const call = new ServerCall(stream, headers, this.#context);
      const session = stream.session;
      const connection = session === undefined ? undefined : this.#connections.get(session);
      if (connection === undefined) {
        stream.destroy();
        return;
      }
      connection.add(call);
      stream.on('data', () => connection.noteProgress());
      stream.on('close', () => connection.remove(call, stream.rstCode !== 0 && stream.aborted));
      call.start();
      if (this.#closing !== null) call.stop();
    });
  }

  handleSocket(socket: Socket): void {
    if (this.#closing !== null) {
      socket.destroy();
      return;
    }
    socket.on('error', (error) => this.#context.log.debug(`grpc socket: ${error.message}`));
    // node:http2 never ends its side after the peer's FIN: without this the socket would stay.
    socket.allowHalfOpen = false;
    socket.setNoDelay(true);
    this.#http2.emit('connection', socket);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#connections.size === 0) return;
    const { clock, limits } = this.#context;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(limits.closeMs, () => {
        for (const connection of [...this.#connections.values()]) connection.destroy();
      });
      this.#onEmpty = () => {
        timer.cancel();
        resolve();
      };
      for (const connection of [...this.#connections.values()]) connection.stop();
    });
  }

  #addConnection(session: Http2Session): void {
    const connection = new GrpcConnection(session, this.#context, () => {
      this.#connections.delete(session);
      if (this.#connections.size === 0) this.#onEmpty();
    });
    this.#connections.set(session, connection);
  }
}

function http2Options(limits: GrpcLimits): Parameters<typeof createServer>[0] {
  return {
    maxSessionMemory: limits.sessionMemoryMiBMax,
    maxHeaderListPairs: limits.headerPairsMax,
    maxOutstandingPings: 10,
    maxSettings: 32,
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    settings: {
      maxConcurrentStreams: limits.streamsMax,
      maxHeaderListSize: limits.headerBytesMax,
      initialWindowSize: limits.streamWindowBytes,
    },
  };
}
