/** A gRPC server at the end of a MemoryWire, in time that the test moves. */
import { type Log, silentLog } from '../../io/index.ts';
import {
  createGrpcServer,
  type GrpcBidiMethod,
  type GrpcLimits,
  type GrpcMethod,
  type GrpcServer,
  type GrpcStream,
  type GrpcUnaryMethod,
} from '../index.ts';
import { unaryMethod } from '../method-adapters.ts';
import { frame, message, request } from './frames.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryWire } from './memory-wire.ts';

export const END_STREAM = 1;
export const END_HEADERS = 4;

export interface Fixture {
  readonly server: GrpcServer;
  readonly clock: ManualClock;
  readonly defects: Error[];
  /** Lines that were logged as warnings. */
  readonly warnings: string[];
  /** A new connection. */
  wire(): MemoryWire;
  /** Messages that reached /t/Open, and what happened there, in order. */
  readonly events: string[];
  /** Streams of /t/Open, in order. */
  readonly streams: GrpcStream[];
}

export const echo: GrpcUnaryMethod = unaryMethod(async (bytes) => bytes.slice());

/** A server with /t/Echo (unary), /t/Open (bidi, held by the test), and `more`. */
export function fixture(
  limits: Partial<GrpcLimits> = {},
  more: Readonly<Record<string, GrpcMethod>> = {},
): Fixture {
  const clock = new ManualClock();
  const defects: Error[] = [];
  const warnings: string[] = [];
  const events: string[] = [];
  const streams: GrpcStream[] = [];
  const open: GrpcBidiMethod = {
    type: 'bidi',
    open(_call, stream) {
      streams.push(stream);
      return {
        onMessage: (bytes) => void events.push(`message of ${bytes.length}`),
        onEnd: () => void events.push('end'),
        onDrain: () => void events.push('drain'),
        onClosed: () => void events.push('closed'),
        onStopping: () => void events.push('stopping'),
      };
    },
  };
  const log: Log = { ...silentLog, warn: (line) => void warnings.push(line) };
  const server = createGrpcServer({
    methods: new Map(Object.entries({ '/t/Echo': echo, '/t/Open': open, ...more })),
    limits,
    log,
    clock,
    onDefect: (error) => defects.push(error),
  });
  const wire = (): MemoryWire => {
    const fresh = new MemoryWire();
    server.handleWire(fresh);
    return fresh;
  };
  return { server, clock, defects, warnings, wire, events, streams };
}

/** A whole unary call of /t/Echo. */
export function echoCall(stream: number, bytes: Uint8Array = Buffer.of(7)): Buffer {
  return Buffer.concat([
    frame('HEADERS', END_HEADERS, stream, request('/t/Echo')),
    frame('DATA', END_STREAM, stream, message(bytes)),
  ]);
}

/** The beginning of a call of /t/Open. */
export function openCall(stream: number): Buffer {
  return frame('HEADERS', END_HEADERS, stream, request('/t/Open'));
}
