import {
  type Answer,
  type Command,
  decodeAnswer,
  decodeCloseSession,
  decodeOpenSession,
  decodeResolve,
  ERRORS,
  type ErrorResult,
  encodeCloseSessionResult,
  encodeCommand,
  encodeOpenSessionResult,
  encodeResolveResult,
  encodeStatus,
  type KvService,
} from '../api/index.ts';
import {
  type GrpcBidiMethod,
  GrpcError,
  type GrpcMethod,
  type GrpcUnaryMethod,
  unaryMethod,
} from '../grpc/index.ts';
import type { Clock } from '../io/index.ts';
import { DecodeError } from '../lib/index.ts';
import { ExecuteSession } from './execute-session.ts';
import type { ExecuteLimits } from './limits.ts';

export interface ClerkMethodsOptions {
  readonly service: KvService;
  readonly clock: Clock;
  /** Default EXECUTE_LIMITS. */
  readonly limits?: Partial<ExecuteLimits>;
}

/** The methods of `quorate.v1.Clerk`, by path, on the member's service. */
export function clerkMethods(options: ClerkMethodsOptions): ReadonlyMap<string, GrpcMethod> {
  const { service } = options;
  const methods: Readonly<Record<string, GrpcMethod>> = {
    Execute: executeMethod(options),
    OpenSession: unary(async (request) => {
      const answer = await executed(service, decodeOpenSession(request));
      return encodeOpenSessionResult(expectType(answer, 'openSession'));
    }),
    CloseSession: unary(async (request) => {
      const answer = await executed(service, decodeCloseSession(request));
      return encodeCloseSessionResult(expectType(answer, 'closeSession'));
    }),
    Resolve: unary(async (request) => {
      const query = decodeResolve(request);
      const answer = await new Promise<Uint8Array>((resolve) => {
        service.read({ serializable: false, query }, resolve);
      });
      return encodeResolveResult(expectType(decodeAnswer(answer), 'resolve'));
    }),
    Status: unary(async () => encodeStatus(service.status())),
  };
  return new Map(
    Object.entries(methods).map(([name, method]) => [`/quorate.v1.Clerk/${name}`, method]),
  );
}

function executeMethod({ service, clock, limits }: ClerkMethodsOptions): GrpcBidiMethod {
  return {
    type: 'bidi',
    open(_call, stream) {
      let clientEnded = false;
      const session = new ExecuteSession({
        service,
        clock,
        send: (message) => stream.send(message),
        bufferedBytes: () => stream.bufferedBytes,
        onDrained: () => {
          const error = new GrpcError('UNAVAILABLE', 'this member is stopping');
          stream.end(clientEnded ? null : error);
        },
        ...(limits === undefined ? {} : { limits }),
      });
      return {
        onMessage: (message) => refusingBadBytes(() => session.receive(message)),
        onEnd: () => {
          clientEnded = true;
          session.stop();
        },
        onClosed: () => session.close(),
        onStopping: () => session.stop(),
      };
    },
  };
}

function unary(handle: (request: Uint8Array) => Promise<Uint8Array>): GrpcUnaryMethod {
  return unaryMethod((request) => refusingBadBytes(() => handle(request).catch(rethrowBadBytes)));
}

/** Runs what reads bytes of the client: bytes that break the format are its fault, not ours. */
function refusingBadBytes<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    return rethrowBadBytes(error);
  }
}

function rethrowBadBytes(error: unknown): never {
  if (!(error instanceof DecodeError)) throw error;
  throw new GrpcError('INVALID_ARGUMENT', `malformed message: ${error.message}`, { cause: error });
}

async function executed(service: KvService, command: Command): Promise<Answer> {
  const answer = await new Promise<Uint8Array>((resolve) => {
    service.execute(encodeCommand(command), resolve);
  });
  return decodeAnswer(answer);
}

/** The answer of that type, or the gRPC error that an error answer turns into. */
function expectType<T extends Answer['type']>(answer: Answer, type: T): Answer & { type: T } {
  if (answer.type === 'error') throw statusOf(answer);
  if (answer.type !== type) throw new Error(`service answered ${answer.type} to ${type}`);
  return answer as Answer & { type: T };
}

/** The error table's status; code and leader travel as trailers. */
function statusOf({ code, message, leader }: ErrorResult): GrpcError {
  const trailers: Record<string, string> = { 'quorate-code': code };
  if (leader !== null) trailers['quorate-leader'] = leader.clientUrls.join(',');
  return new GrpcError(ERRORS[code].grpcStatus, message, { trailers });
}
