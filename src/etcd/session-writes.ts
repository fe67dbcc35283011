import { createHash } from 'node:crypto';
import {
  type Answer,
  decodeAnswer,
  type ErrorCode,
  type ErrorResult,
  encodeCommand,
  type Operation,
  type SessionRef,
} from '../api/index.ts';
import { type GrpcCall, GrpcError, type GrpcUnaryMethod, replyWith } from '../grpc/index.ts';
import type { Draft, MessageType } from './codec.ts';
import {
  type AnswerTo,
  type EtcdContext,
  encodedUnary,
  execute,
  executeFor,
  headerOf,
} from './context.ts';
import { errorOf } from './errors.ts';
import type { ResponseHeader } from './messages/common.ts';
import { invalid, numberIn, SESSION_METADATA, sessionOf } from './session-open.ts';
import { WaitingRoom } from './waiting-room.ts';

/** How a method changes the store: as a call of its own, or as one of a session. */
export interface Write {
  /** It is one of a session, and uses up its number. */
  readonly isNumbered: boolean;
  /** Executes an operation, at most one of a write; rejects with a GrpcError when refused. */
  execute<T extends Operation['type']>(
    operation: Operation & { readonly type: T },
  ): Promise<AnswerTo<T>>;
  /** The head of the answer to what was done at `revision`. */
  headerOf(revision: number): Partial<ResponseHeader>;
  /** An id for a lease whose client chose none. */
  leaseId(): bigint;
}

/** A method that is one operation: what its request asks for, and how the result is told. */
export interface OperationMethod<Request, Response, T extends Operation['type']> {
  /** @throws GrpcError for a request that is refused unseen. */
  readonly operationOf: (request: Request) => Operation & { readonly type: T };
  readonly responseOf: (result: AnswerTo<T>, write: Write) => Draft<Response>;
}

/**
 * The writes of etcd's services. One whose metadata names a session and a number is executed
 * exactly once: however often it comes, and at whichever members, it gets the first answer, byte
 * for byte. Every number is used up by the call that has it: also by one that is refused, as the
 * next one could not follow otherwise. The answer says so, by repeating the number.
 */
export class Writes {
  readonly #context: EtcdContext;
  readonly #room: WaitingRoom;
  readonly #plain: Write;

  constructor(context: EtcdContext) {
    this.#context = context;
    this.#room = new WaitingRoom(context);
    this.#plain = {
      isNumbered: false,
      execute: <T extends Operation['type']>(operation: Operation & { readonly type: T }) =>
        execute<T>(context, operation),
      headerOf: (revision) => headerOf(context, revision),
      leaseId: () => idOf(context.random.bytes(8)),
    };
  }

  /**
   * Runs the work of a call; `work` may be a repetition of what is done already.
   * @throws GrpcError at once when the call says nonsense of its place.
   */
  run<T>(call: GrpcCall, work: (write: Write) => Promise<T>): Promise<T> {
    const ref = placeIn(call);
    return ref === null ? work(this.#plain) : this.#runNumbered(call, ref, work);
  }

  /** A method that is one operation and nothing else. The busiest ones are: no promise is made. */
  method<Request, Response, T extends Operation['type']>(
    types: { readonly request: MessageType<Request>; readonly response: MessageType<Response> },
    { operationOf, responseOf }: OperationMethod<Request, Response, T>,
  ): GrpcUnaryMethod {
    const encoded = (result: AnswerTo<T>, write: Write): Uint8Array =>
      types.response.encode(responseOf(result, write));
    return encodedUnary(this.#context, types.request, (request, call, reply) => {
      const ref = placeIn(call);
      if (ref === null) {
        executeFor<T>(
          this.#context,
          operationOf(request),
          (result) => reply.answer(encoded(result, this.#plain)),
          (error) => reply.fail(error),
        );
        return;
      }
      const response = this.#runNumbered(call, ref, async (write) =>
        encoded(await write.execute<T>(operationOf(request)), write),
      );
      replyWith(response, reply);
    });
  }

  async #runNumbered<T>(
    call: GrpcCall,
    ref: SessionRef,
    work: (write: Write) => Promise<T>,
  ): Promise<T> {
    const write = new SessionWrite({ context: this.#context, room: this.#room, call, ref });
    try {
      return await work(write);
    } catch (error) {
      if (error instanceof GrpcError && !write.isSent) await write.skip();
      throw error;
    }
  }
}

/**
 * Which command of which session a call says that it is; null when it says nothing.
 * @throws GrpcError INVALID_ARGUMENT when it makes no sense.
 */
function placeIn(call: GrpcCall): SessionRef | null {
  const token = call.metadata(SESSION_METADATA.session);
  const seq = numberIn(call, SESSION_METADATA.seq);
  if (token === null && seq === null) return null;
  if (token === null || seq === null) {
    throw invalid(`${SESSION_METADATA.session} and ${SESSION_METADATA.seq} go together`);
  }
  const ackedSeq = numberIn(call, SESSION_METADATA.acked) ?? 0;
  if (seq === 0 || ackedSeq >= seq) {
    throw invalid(`${SESSION_METADATA.seq} counts from 1, ${SESSION_METADATA.acked} is below it`);
  }
  return { ...sessionOf(token, SESSION_METADATA.session), seq, ackedSeq };
}

/** Refusals that come from before the session's place in the log: they use up no number. */
const BEFORE_THE_LOG: ReadonlySet<ErrorCode> = new Set([
  'NOT_LEADER',
  'LEADERSHIP_LOST',
  'READ_UNCONFIRMED',
  'STOPPING',
  'OVERLOADED',
  'REQUEST_TIMEOUT',
  'NO_SPACE',
  'SESSION_UNKNOWN',
  'SESSION_EXPIRED',
  'SESSION_FENCED',
  'OUT_OF_ORDER',
  'SESSION_WINDOW_FULL',
  'CORRUPT',
]);

class SessionWrite implements Write {
  readonly isNumbered = true;
  isSent = false;
  readonly #context: EtcdContext;
  readonly #room: WaitingRoom;
  readonly #call: GrpcCall;
  readonly #ref: SessionRef;
  readonly #deadlineMs: number;

  constructor(parts: { context: EtcdContext; room: WaitingRoom; call: GrpcCall; ref: SessionRef }) {
    this.#context = parts.context;
    this.#room = parts.room;
    this.#call = parts.call;
    this.#ref = parts.ref;
    this.#deadlineMs = parts.context.clock.nowMs() + parts.context.limits.sessionRetryMs;
  }

  async execute<T extends Operation['type']>(
    operation: Operation & { readonly type: T },
  ): Promise<AnswerTo<T>> {
    this.isSent = true;
    const answer = await this.#decide(operation);
    if (answer.type === 'error' && answer.code === 'NO_SPACE') {
      // That says nothing of an earlier attempt: what takes the place tells.
      const kept = await this.skip();
      if (kept.type === 'skip') throw errorOf(answer);
      return this.#expect<T>(kept, operation.type);
    }
    return this.#expect<T>(answer, operation.type);
  }

  /**
   * Uses up the number without doing anything.
   * Resolves with the answer that it had already, if it had one.
   */
  async skip(): Promise<Answer> {
    const answer = await this.#decide({ type: 'skip' });
    if (answer.type === 'error' && BEFORE_THE_LOG.has(answer.code)) throw errorOf(answer);
    return answer;
  }

  /** Of the command and not of the member that passes it on: equal in all repetitions. */
  headerOf(revision: number): Partial<ResponseHeader> {
    return { cluster_id: this.#context.member.clusterId, revision };
  }

  /** The same for every repetition, and for no other number of any session. */
  leaseId(): bigint {
    const { sessionId, seq } = this.#ref;
    const name = `${this.#context.member.clusterId} ${sessionId} ${seq}`;
    return idOf(createHash('sha256').update(name).digest());
  }

  /** The answer at this place, or why there is none. Only errors come from before the log. */
  async #decide(operation: Operation): Promise<Answer> {
    const { member } = this.#context;
    const command = encodeCommand({ type: 'operation', session: this.#ref, operation });
    for (;;) {
      const bytes = await new Promise<Uint8Array>((resolve) => {
        member.service.execute(command, resolve);
      });
      const answer = decodeAnswer(bytes);
      if (answer.type !== 'error' || !BEFORE_THE_LOG.has(answer.code)) {
        this.#call.setHeader(SESSION_METADATA.seq, `${this.#ref.seq}`);
        return answer;
      }
      if (!(await this.#mayTryAgain(answer))) return answer;
    }
  }

  /** What a client would do next, done here: as long as it waits, and not for too long. */
  async #mayTryAgain({ code }: ErrorResult): Promise<boolean> {
    const { clock } = this.#context;
    if (clock.nowMs() >= this.#deadlineMs) return false;
    // A repetition is harmless, and it tells what became of the first attempt.
    if (code === 'LEADERSHIP_LOST') return !this.#call.signal.aborted;
    return code === 'OUT_OF_ORDER' && this.#room.wait(this.#ref, this.#call, this.#deadlineMs);
  }

  /** @throws GrpcError for a refusal, and for a number that was used by something else. */
  #expect<T extends Operation['type']>(answer: Answer, type: T): AnswerTo<T> {
    if (answer.type === type) return answer as AnswerTo<T>;
    if (answer.type === 'error') throw errorOf(answer);
    const { sessionId, seq } = this.#ref;
    const place = `number ${seq} of session ${sessionId}`;
    if (answer.type === 'skip') {
      const message = `${place} was refused before, and is used up`;
      throw errorOf({ code: 'CANCELLED_NOT_APPLIED', message });
    }
    const message = `${place} was another request, of type "${answer.type}"`;
    throw errorOf({ code: 'INVALID_ARGUMENT', message });
  }
}

/** 63 bits of them: positive, as etcd's ids are, and never 0. */
function idOf(bytes: Uint8Array): bigint {
  const bits = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
  return BigInt.asUintN(63, bits) | 1n;
}
