import {
  API_LIMITS,
  decodeCommand,
  decodeExecuteRequests,
  type ErrorCode,
  type ExecuteRequest,
  encodeAnswer,
  encodeExecuteReplies,
  encodeHello,
  type IdentifiedAnswer,
  type KvService,
  REPLY_OVERHEAD_BYTES_MAX,
  type Withdraw,
} from '../api/index.ts';
import type { Clock } from '../io/index.ts';
import { assert, DecodeError, unreachable } from '../lib/index.ts';
import { EXECUTE_LIMITS, type ExecuteLimits } from './limits.ts';

/** What an Execute stream stands on: gRPC in production, a virtual link in simulations. */
export interface ExecuteOptions {
  readonly service: KvService;
  readonly clock: Clock;
  /** Sends one encoded ExecuteReply. */
  readonly send: (message: Uint8Array) => void;
  /** Bytes given to `send` that the client has not taken yet. */
  readonly bufferedBytes: () => number;
  /** The last answer after `stop` was sent: the stream may end. */
  readonly onDrained: () => void;
  /** Default EXECUTE_LIMITS. */
  readonly limits?: Partial<ExecuteLimits>;
}

/**
 * The server's side of one Execute stream, whatever carries it: says hello, checks requests,
 * passes them to the service, and sends the answers of one turn of the event loop as one message.
 */
export class ExecuteSession {
  readonly #options: ExecuteOptions;
  readonly #limits: ExecuteLimits;
  #state: 'open' | 'stopping' | 'closed' = 'open';
  /** Requests that the service has and has not answered. */
  #inFlight = 0;
  #inFlightBytes = 0;
  /** Of queries in flight that wait for changes: how to end that, by id. */
  readonly #waiting = new Map<number, Withdraw>();
  /** Answers of this turn. */
  #answers: IdentifiedAnswer[] = [];
  #answersBytes = 0;
  #flushing = false;

  constructor(options: ExecuteOptions) {
    this.#options = options;
    this.#limits = { ...EXECUTE_LIMITS, ...options.limits };
    const { clusterId, memberId } = options.service.status();
    options.send(encodeHello({ clusterId, memberId }));
  }

  /** Requests whose answer is still to come. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /**
   * Takes one encoded ExecuteRequest. A request that cannot be served gets an error as its answer.
   * @throws DecodeError when the message itself cannot be read: the stream is then beyond repair.
   */
  receive(message: Uint8Array): void {
    for (const request of decodeExecuteRequests(message)) this.#admit(request);
  }

  /** New requests are refused with STOPPING, those in flight still get their answer. */
  stop(): void {
    if (this.#state !== 'open') return;
    this.#state = 'stopping';
    this.#scheduleFlush();
  }

  /** The client is gone: nothing waits for it, and what is still answered goes nowhere. */
  close(): void {
    this.#state = 'closed';
    for (const withdraw of [...this.#waiting.values()]) withdraw();
    this.#answers = [];
    this.#answersBytes = 0;
  }

  #admit(request: ExecuteRequest): void {
    const { id, body } = request;
    if (body.type === 'withdrawal') return this.#waiting.get(id)?.();
    const overload = this.#overload();
    if (this.#state !== 'open') return this.#refuse(id, 'STOPPING', 'this member is stopping');
    if (overload !== null) return this.#refuse(id, 'OVERLOADED', overload);
    switch (body.type) {
      case 'command': {
        const refusal = this.#refusal(body.command);
        if (refusal !== null) return this.#refuse(id, refusal.code, refusal.message);
        this.#options.service.execute(body.command, this.#expect(id, body.command.length));
        return;
      }
      case 'query': {
        const withdraw = this.#options.service.read(body.query, this.#expect(id, 0));
        if (withdraw !== undefined) this.#waiting.set(id, withdraw);
        return;
      }
      default:
        unreachable(body);
    }
  }

  #overload(): string | null {
    const { inFlightRequestsMax, inFlightBytesMax, unreadBytesMax } = this.#limits;
    if (this.#inFlight >= inFlightRequestsMax) return 'too many requests in flight on this stream';
    if (this.#inFlightBytes >= inFlightBytesMax) return 'too many bytes in flight on this stream';
    const unread = this.#options.bufferedBytes() + this.#answersBytes;
    return unread > unreadBytesMax ? 'too many answers on this stream were not read' : null;
  }

  /** Why a command must not reach the log: what cannot be read once can never be applied. */
  #refusal(command: Uint8Array): { code: ErrorCode; message: string } | null {
    const { commandBytesMax } = this.#limits;
    if (command.length > commandBytesMax) {
      const message = `command of ${command.length} bytes exceeds ${commandBytesMax}`;
      return { code: 'TOO_LARGE', message };
    }
    try {
      decodeCommand(command);
      return null;
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return { code: 'INVALID_ARGUMENT', message: `not a command: ${error.message}` };
    }
  }

  #refuse(id: number, code: ErrorCode, message: string): void {
    this.#answer(id, encodeAnswer({ type: 'error', code, message, leader: null }));
  }

  /** Counts a request in; the function returned takes its answer and counts it out. */
  #expect(id: number, bytes: number): (answer: Uint8Array) => void {
    this.#inFlight++;
    this.#inFlightBytes += bytes;
    return (answer) => {
      this.#inFlight--;
      this.#inFlightBytes -= bytes;
      this.#waiting.delete(id);
      const left = { inFlight: this.#inFlight, bytes: this.#inFlightBytes };
      assert(left.inFlight > 0 || left.bytes === 0, 'requests were answered twice', left);
      this.#answer(id, answer);
    };
  }

  #answer(id: number, answer: Uint8Array): void {
    if (this.#state === 'closed') return;
    const bytes = answer.length + REPLY_OVERHEAD_BYTES_MAX;
    const full =
      this.#answersBytes + bytes > API_LIMITS.streamMessageBytesMax ||
      this.#answers.length === API_LIMITS.streamMessageRequestsMax;
    if (full) this.#sendAnswers();
    this.#answers.push({ id, answer });
    this.#answersBytes += bytes;
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#options.clock.defer(() => {
      this.#flushing = false;
      this.#sendAnswers();
      if (this.#state === 'stopping' && this.#inFlight === 0) this.#options.onDrained();
    });
  }

  #sendAnswers(): void {
    if (this.#answers.length === 0) return;
    const message = encodeExecuteReplies(this.#answers);
    this.#answers = [];
    this.#answersBytes = 0;
    this.#options.send(message);
  }
}
