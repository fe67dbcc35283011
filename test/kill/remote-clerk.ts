import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  digestOf,
  type HistoryRecorder,
  type OpenCall,
  type Operation,
  type Result,
  type SessionAppend,
} from '../../src/checker/index.ts';
import { type Deferred, deferred } from '../../src/lib/index.ts';
import type { Workload } from './workload.ts';

const SCRIPT = fileURLToPath(new URL('./clerk-process.mjs', import.meta.url));

/** Commands and reads of one clerk on their way at once. */
const IN_FLIGHT_MAX = 8;
/** At most `BURST` new calls every `TICK_MS`: 300 a second. */
const BURST = 3;
const TICK_MS = 10;

/** Longer values are recorded by length and hash. */
const VALUE_CHARACTERS_MAX = 64;

/** Times of the history: microseconds of this process's monotonic clock. */
export function nowUs(): number {
  return Math.floor(performance.now() * 1_000);
}

/** An append of the evidence, its outcome as far as it is known. */
export interface Append extends SessionAppend {
  readonly key: string;
  outcome: SessionAppend['outcome'];
}

/** A call without an answer. */
interface Pending {
  readonly operation: Operation;
  /** null: a read. */
  readonly seq: number | null;
  readonly call: OpenCall;
  readonly append: Append | null;
}

/** What the process says. */
interface Opened {
  readonly lastSeq: number;
  readonly resumed: boolean;
}
interface Answer {
  readonly id: number;
  readonly result: Result | null;
  readonly revision: number | null;
  readonly seq?: number | null;
  /** Of a command in doubt that was asked for. */
  readonly state?: string;
  readonly error?: string;
  readonly outcome?: string;
}

/**
 * A clerk with a named session in a process of its own, under load. The process can be killed; its
 * successor takes the session over, learns of each command in doubt whether it ran, and repeats the
 * others under their own numbers. Every call is written down here, outside of that process.
 */
export class RemoteClerk {
  /** Also the name of its session. */
  readonly name: string;
  /** What went against a promise, one sentence each. */
  readonly failures: string[] = [];
  readonly appends: Append[] = [];
  /** Calls that were answered. */
  answered = 0;
  /** Commands whose answer died with the process, but which had run. */
  foundExecuted = 0;
  /** Commands that a successor repeated. */
  repeated = 0;
  readonly #world: { clientModule: string; endpoints: readonly string[] };
  readonly #recorder: HistoryRecorder;
  readonly #workload: Workload;
  readonly #pending = new Map<number, Pending>();
  readonly #questions = new Map<number, Deferred<Answer>>();
  #child: ChildProcess | null = null;
  #timer: NodeJS.Timeout | null = null;
  #lastId = 0;
  #lastSeq = 0;
  #answeredSeq = 0;
  #idle: Deferred<void> | null = null;

  constructor(options: {
    readonly name: string;
    readonly clientModule: string;
    readonly endpoints: readonly string[];
    readonly recorder: HistoryRecorder;
    readonly workload: Workload;
  }) {
    const { clientModule, endpoints } = options;
    this.name = options.name;
    this.#world = { clientModule, endpoints };
    this.#recorder = options.recorder;
    this.#workload = options.workload;
  }

  /** Starts the process and its load. */
  async start(): Promise<void> {
    const { resumed } = await this.#spawn();
    if (resumed) this.failures.push(`${this.name}: a new session was there before`);
    this.#issueSteadily();
  }

  /** Kills the process without warning and waits until it is gone. */
  async kill(): Promise<void> {
    this.#pause();
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Starts a successor of a killed process, which settles what is in doubt and goes on. */
  async takeOver(): Promise<void> {
    const inDoubt = [...this.#pending];
    this.#pending.clear();
    const { lastSeq, resumed } = await this.#spawn();
    if (this.#lastSeq > 0 && !resumed) this.failures.push(`${this.name}: the session is gone`);
    if (lastSeq < this.#answeredSeq) {
      const said = `seq ${this.#answeredSeq} was answered, but the last executed is ${lastSeq}`;
      this.failures.push(`lost: ${this.name}: ${said}`);
    }
    for (const [id, pending] of inDoubt) {
      if (pending.seq === null) pending.call.unknown(nowUs());
      else await this.#settle(id, pending, lastSeq);
    }
    await this.#settled();
    this.#issueSteadily();
  }

  /** Issues nothing more; resolves when every call is answered. */
  async drain(): Promise<void> {
    this.#pause();
    await this.#settled();
  }

  /** Learns what became of a command in doubt; repeats it if it has not run. */
  async #settle(id: number, pending: Pending, lastSeq: number): Promise<void> {
    const { seq, call, append } = pending;
    const { state, result, revision } = await this.#ask(seq ?? 0);
    if ((state === 'notExecuted') === (seq ?? 0) <= lastSeq) {
      const said = `seq ${seq} is ${state}, and the last executed one is ${lastSeq}`;
      this.failures.push(`resolve: ${this.name}: ${said}`);
    }
    if (state === 'notExecuted') {
      this.repeated++;
      this.#pending.set(id, pending);
      this.#send(id, pending);
      return;
    }
    if (state !== 'executed' && state !== 'acknowledged') {
      this.failures.push(`resolve: seq ${seq} of ${this.name} is ${state}`);
      return call.unknown(nowUs());
    }
    this.foundExecuted++;
    if (append !== null) append.outcome = 'acknowledged';
    // `acknowledged`: the dead process had its answer and could not pass it on.
    if (result !== null && revision !== null) call.ok(shortened(result), nowUs(), revision);
    else call.unknown(nowUs());
  }

  async #ask(seq: number): Promise<Answer> {
    const id = ++this.#lastId;
    const answer = deferred<Answer>();
    this.#questions.set(id, answer);
    this.#tell({ id, resolve: seq });
    return await answer.promise;
  }

  #issueSteadily(): void {
    this.#timer ??= setInterval(() => {
      for (let n = 0; n < BURST && this.#pending.size < IN_FLIGHT_MAX; n++) this.#issue();
    }, TICK_MS);
  }

  #pause(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #issue(): void {
    const operation = this.#workload.next();
    const { name } = this;
    const seq = operation.type === 'get' ? null : ++this.#lastSeq;
    const session = seq === null ? {} : { session: { name, seq } };
    const call = this.#recorder.begin({ clerk: name, operation, called: nowUs(), ...session });
    let append: Append | null = null;
    if (operation.type === 'append' && seq !== null) {
      const token = operation.value;
      append = { clerk: name, session: name, seq, key: operation.key, token, outcome: 'unknown' };
      this.appends.push(append);
    }
    const id = ++this.#lastId;
    const pending = { operation, seq, call, append };
    this.#pending.set(id, pending);
    // The first attempt counts by itself; it must come to the same number.
    this.#send(id, { ...pending, seq: null });
  }

  #send(id: number, { operation, seq }: Pending): void {
    this.#tell({ id, operation, seq });
  }

  /** What a dying process does not get is in doubt, and its successor asks. */
  #tell(message: object): void {
    this.#child?.send(message, () => {});
  }

  #onAnswer(answer: Answer): void {
    const question = this.#questions.get(answer.id);
    if (question !== undefined) {
      this.#questions.delete(answer.id);
      if (answer.error === undefined) question.resolve(answer);
      else question.reject(new Error(`${this.name}: ${answer.error}`));
      return;
    }
    const pending = this.#pending.get(answer.id);
    if (pending === undefined) return;
    this.#pending.delete(answer.id);
    this.#end(pending, answer);
    if (this.#pending.size === 0) this.#idle?.resolve();
  }

  #end({ operation, seq, call, append }: Pending, answer: Answer): void {
    const at = nowUs();
    const { result, revision, error } = answer;
    if (error !== undefined || result === null) {
      this.failures.push(`gave up: seq ${seq} of ${this.name}: ${error}`);
      const isRefused = answer.outcome === 'notApplied';
      if (append !== null && isRefused) append.outcome = 'notApplied';
      return isRefused ? call.notApplied(at) : call.unknown(at);
    }
    if (answer.seq !== seq) {
      this.failures.push(`seq: command ${seq} of ${this.name} was answered as ${answer.seq}`);
    }
    this.answered++;
    this.#answeredSeq = Math.max(this.#answeredSeq, seq ?? 0);
    if (append !== null) append.outcome = 'acknowledged';
    this.#workload.learn(operation, result);
    call.ok(shortened(result), at, revision ?? undefined);
  }

  async #settled(): Promise<void> {
    if (this.#pending.size === 0) return;
    this.#idle = deferred();
    await this.#idle.promise;
    this.#idle = null;
  }

  /** @throws Error if the process ends before it has its session */
  #spawn(): Promise<Opened> {
    const { clientModule, endpoints } = this.#world;
    const child = fork(SCRIPT, [clientModule, endpoints.join(','), this.name], {
      serialization: 'advanced',
      execArgv: [],
    });
    this.#child = child;
    return new Promise((resolve, reject) => {
      child.on('message', (message: Answer | { readonly opened: Opened }) => {
        if ('opened' in message) resolve(message.opened);
        else if (this.#child === child) this.#onAnswer(message);
      });
      child.once('exit', (code, signal) => {
        const error = new Error(`clerk ${this.name} ended by itself (${code ?? signal})`);
        reject(error);
        if (this.#child !== child) return;
        this.#child = null;
        this.failures.push(error.message);
        for (const question of this.#questions.values()) question.reject(error);
        this.#idle?.reject(error);
      });
    });
  }
}

/** The result with long values as length and hash. */
function shortened(result: Result): Result {
  if (result.type !== 'get' || typeof result.value !== 'string') return result;
  if (result.value.length <= VALUE_CHARACTERS_MAX) return result;
  return { type: 'get', value: digestOf(result.value) };
}
