import type { Socket } from 'node:net';
import { type Clock, type Log, systemClock } from '../io/index.ts';
import { type CallContext, ServerCall } from './call.ts';
import { isGrpcContentType } from './headers.ts';
import { Http2Connection, type Http2Stream, socketWire, type Wire } from './http2/index.ts';
import { Inflater } from './inflater.ts';
import { GRPC_LIMITS, type GrpcLimits } from './limits.ts';
import type { GrpcMethod } from './method.ts';
import { countedMethods, type MethodTally } from './tally.ts';

/** Serves gRPC on connections that somebody else accepted. */
export interface GrpcServer {
  /** Takes over a socket that speaks HTTP/2; bytes already read were unshifted to it. */
  handleSocket(socket: Socket): void;
  /** The same for any other stream of bytes. */
  handleWire(wire: Wire): void;
  /** What became of the calls of each method; live, in the order of the methods. */
  readonly tallies: readonly MethodTally[];
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
  /** Takes the requests that are no gRPC. Default: they are refused. */
  readonly onOther?: (stream: Http2Stream) => void;
  /** A method threw something else than a GrpcError. Default: a line in the log. */
  readonly onDefect?: (error: Error) => void;
}

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  return new SocketGrpcServer(options);
}

class SocketGrpcServer implements GrpcServer {
  readonly tallies: readonly MethodTally[];
  readonly #context: CallContext;
  readonly #onOther: ((stream: Http2Stream) => void) | null;
  readonly #connections = new Set<Http2Connection>();
  /** Called by the last connection that goes. */
  #onEmpty: () => void = () => {};
  #closing: Promise<void> | null = null;

  constructor(options: GrpcServerOptions) {
    const { methods, log, clock = systemClock } = options;
    const limits = { ...GRPC_LIMITS, ...options.limits };
    this.#onOther = options.onOther ?? null;
    const counted = countedMethods(methods);
    this.tallies = [...counted.values()].map(({ counter }) => counter);
    this.#context = {
      methods: counted,
      log,
      clock,
      limits,
      inflater: new Inflater(limits),
      onDefect: options.onDefect ?? ((error) => log.error('grpc method failed', { err: error })),
    };
  }

  handleSocket(socket: Socket): void {
    this.handleWire(socketWire(socket));
  }

  handleWire(wire: Wire): void {
    if (this.#closing !== null) {
      wire.destroy();
      return;
    }
    const { limits, clock, log, onDefect } = this.#context;
    const connection = new Http2Connection({
      wire,
      limits,
      clock,
      log,
      onRequest: (stream) => {
        if (this.#onOther !== null && !isGrpc(stream)) return this.#onOther(stream);
        const call = new ServerCall(stream, this.#context);
        stream.listen(call);
        call.start();
      },
      onClosed: () => {
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#onEmpty();
      },
      onDefect,
    });
    this.#connections.add(connection);
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
        for (const connection of [...this.#connections]) connection.destroy();
      });
      this.#onEmpty = () => {
        timer.cancel();
        resolve();
      };
      for (const connection of [...this.#connections]) connection.stop();
    });
  }
}

function isGrpc({ head }: Http2Stream): boolean {
  const type = head.fields.find(({ name }) => name === 'content-type');
  return isGrpcContentType(type?.value ?? null);
}
