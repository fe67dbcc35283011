import type { KvOperation } from '../checker/index.ts';
import { type Clerk, createClerk, KvError, type Resolution, type Step } from '../client/index.ts';
import { InvariantViolation, utf8Bytes } from '../lib/index.ts';
import { judgeDelete, judgeWrite } from './answer-judge.ts';
import type { ClientNetwork } from './client-network.ts';
import type { CallEnd, Ending, History } from './history.ts';
import type { Oracle } from './oracle.ts';
import type { ClerkPlan } from './plan.ts';
import type { Planted } from './planted.ts';
import { type Process, wakingClock } from './process.ts';
import type { Replay } from './replay.ts';
import type { Stream } from './streams.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

/** Probability that a clerk without calls under way is closed after a call. */
const LEAVES = 0.03;
/** Probability that a clerk asks what became of somebody's command, instead of calling. */
const RESOLVES = 0.02;
/** The same for asking a member how it is. */
const LOOKS = 0.02;
/** The same for forgetting the past. */
const COMPACTS = 0.02;
/** What is forgotten ends so many revisions before the newest that the clerk knows, or earlier. */
const KEPT_REVISIONS = 30;

/** Clerks with values of this length change many keys at once, now and then. */
const LARGE_BYTES = 20_000;
const LARGE = 0.3;
/** Keys of one such change; they fill a page of the history. */
const LARGE_KEYS = 15;
/** After so many they are deleted together: what they were does not fit into one answer. */
const LARGE_STEPS = 11;
const LARGE_VALUE = '.'.repeat(LARGE_BYTES);

type RegisterCall = 'get' | 'put' | 'append' | 'txn' | 'delete';

const NOTHING_TOLD = { output: null, deleted: null } as const;

/** What all clerks of a run share. */
export interface ClerkParts {
  readonly world: World;
  readonly network: ClientNetwork;
  readonly history: History;
  readonly oracle: Oracle;
  /** What the committed log says. */
  readonly replay: Replay;
  readonly planted: Planted;
  readonly endpoints: readonly string[];
  readonly skewMax: number;
}

/** An application with a production `Clerk` that calls, waits and calls again. */
export class ClerkActor {
  readonly plan: ClerkPlan;
  readonly #parts: ClerkParts;
  readonly #stream: Stream;
  #process: Process | null = null;
  readonly #pending = new Map<Process, number>();
  #incarnation = 0;
  #stopped = false;
  /** Highest seq that was acknowledged, by the session's id. */
  readonly #ackedSeqs = new Map<number, number>();
  /** The newest revision that it was told. */
  #revision = 0;
  /** Incarnations whose session ended before they did. */
  readonly #bereft = new Set<Clerk>();

  constructor(plan: ClerkPlan, parts: ClerkParts) {
    this.plan = plan;
    this.#parts = parts;
    this.#stream = parts.world.stream(`clerk ${plan.name}`);
  }

  get process(): Process | null {
    return this.#process;
  }

  /** Calls without an end in incarnations that still run. */
  get pending(): number {
    let count = 0;
    for (const [process, calls] of this.#pending) if (process.alive) count += calls;
    return count;
  }

  /** Starts an incarnation; the one before goes on unless it was killed. */
  start(): void {
    const { world, network, planted, endpoints, skewMax } = this.#parts;
    const { plan } = this;
    const label = `${plan.name}.${++this.#incarnation}`;
    const skew = {
      offsetMs: this.#stream.below(1_000_000),
      rate: 1 + this.#stream.between(-skewMax, skewMax),
    };
    const process = world.process(label, skew);
    this.#process = process;
    // A clerk's timers settle promises.
    const clock = wakingClock(process, world);
    const channels = network.channels(process, plan.name);
    const io = {
      clock,
      random: process.random,
      channels: planted.channels?.(channels) ?? channels,
    };
    const options = {
      endpoints,
      requestTimeoutMs: plan.timeoutMs,
      ...(plan.session === null ? {} : { session: plan.session }),
      ...(plan.sessionTtlMs === null ? {} : { sessionTtlMs: plan.sessionTtlMs }),
    };
    world.movePromises();
    // Another incarnation may have the session, and go on with it, before this one hears of it.
    const ackedSeqs = new Map(this.#ackedSeqs);
    createClerk(options, io).then(
      (clerk) => this.#connected(process, clerk, ackedSeqs),
      () => {
        if (!process.alive || process !== this.#process) return;
        this.#later(process, 100, () => this.restart());
      },
    );
  }

  /** The application dies and comes back. */
  restart(): void {
    this.#process?.kill();
    if (!this.#stopped) this.start();
  }

  /** Another one is started under the same session while this one goes on. */
  replace(): void {
    if (!this.#stopped) this.start();
  }

  /** Wakes every incarnation that sleeps. */
  resume(): void {
    this.#process?.resume('ioFirst');
    for (const process of this.#pending.keys()) process.resume('ioFirst');
  }

  /** Issues nothing more. */
  stop(): void {
    this.#stopped = true;
  }

  /** @param ackedSeqs as they were when the clerk was started */
  #connected(process: Process, clerk: Clerk, ackedSeqs: ReadonlyMap<number, number>): void {
    if (!process.alive) return;
    const { session } = clerk;
    if (session !== null) {
      const ackedSeq = ackedSeqs.get(session.id) ?? 0;
      if (session.lastSeq < ackedSeq) {
        const what = `${process.name} found seq ${session.lastSeq}, ${ackedSeq} was answered`;
        this.#parts.world.stop(new Violation('a session remembers', what));
      }
    }
    if (session?.resumed === true) this.#parts.network.counters.add('sometimes: session resumed');
    for (let i = 0; i < this.plan.concurrency; i++) this.#think(process, clerk);
  }

  #think(process: Process, clerk: Clerk): void {
    this.#later(process, this.#stream.exponential(this.plan.thinkMs), () => {
      if (this.#stopped) return;
      this.#countPending(process, 1);
      this.#call(process.name, clerk)
        .finally(() => this.#countPending(process, -1))
        .then(
          () => this.#goOn(process, clerk),
          (error: unknown) => this.#failed(process, clerk, error),
        );
    });
  }

  /** Most go on; some are done for now, and somebody comes back another time. */
  #goOn(process: Process, clerk: Clerk): void {
    const isLast = this.plan.concurrency === 1 && process === this.#process;
    if (!isLast || this.#stopped || !this.#stream.chance(LEAVES))
      return this.#think(process, clerk);
    this.#countPending(process, 1);
    clerk
      .close()
      .finally(() => this.#countPending(process, -1))
      .then(
        () => process === this.#process && this.restart(),
        (error: unknown) => this.#failed(process, clerk, error),
      );
  }

  #countPending(process: Process, change: number): void {
    this.#pending.set(process, (this.#pending.get(process) ?? 0) + change);
  }

  #failed(process: Process, clerk: Clerk, error: unknown): void {
    const { world } = this.#parts;
    if (!(error instanceof KvError)) {
      const reason = error instanceof Error ? error : new Error(String(error));
      const isBug = reason instanceof InvariantViolation;
      const cause = { cause: reason };
      world.stop(isBug ? new Violation('clerks do not break', reason.message, cause) : reason);
      return;
    }
    world.trace(process.name, `${error.code}: ${error.message}`);
    if (error.code === 'SESSION_STALE') {
      const what = `${process.name}: ${error.message}`;
      return world.stop(new Violation('an answer is kept until it has arrived', what));
    }
    // Unless it was asked for a short life, no session ends within a run.
    if (error.code === 'SESSION_EXPIRED' && this.plan.sessionTtlMs === null) {
      const what = `${process.name}: ${error.message}`;
      return world.stop(new Violation('sessions live as long as they may', what));
    }
    this.#parts.network.counters.add(`sometimes: call ended ${error.code}`);
    if (error.code === 'SESSION_EXPIRED') this.#bereft.add(clerk);
    // A clerk that was replaced is done for; everybody else goes on.
    if (error.code !== 'SESSION_FENCED') this.#think(process, clerk);
  }

  #later(process: Process, delayMs: number, run: () => void): void {
    const { world } = this.#parts;
    world.schedule(process, { kind: 'timer', delayUs: delayMs * 1000, label: '' }, () => {
      world.movePromises();
      run();
    });
  }

  #call(label: string, clerk: Clerk): Promise<void> {
    if (this.#stream.chance(RESOLVES)) return this.#resolve(clerk);
    if (this.#stream.chance(LOOKS)) return this.#look(clerk);
    if (this.#stream.chance(COMPACTS)) return this.#compact(clerk);
    switch (this.plan.work) {
      case 'appends':
        return this.#stream.chance(0.8) ? this.#append(label, clerk) : this.#read(label, clerk);
      case 'pairs':
        return this.#appendPair(label, clerk);
      case 'registers':
        return this.#register(label, clerk);
    }
  }

  async #look(clerk: Clerk): Promise<void> {
    await clerk.status(this.#stream.pick(this.#parts.endpoints));
  }

  /** Forgets the past: nobody is shown it again. */
  async #compact(clerk: Clerk): Promise<void> {
    const revision = this.#revision - this.#stream.below(KEPT_REVISIONS);
    if (revision < 2) return;
    const { seq } = await clerk.compact(revision);
    this.#acknowledged(clerk, seq);
    this.#parts.network.counters.add('sometimes: history compacted');
    try {
      await clerk.get('any', { revision: revision - 1 });
    } catch (error) {
      if (error instanceof KvError && error.code === 'COMPACTED') return;
      throw error;
    }
    const what = `revision ${revision - 1} could be read after compaction to ${revision}`;
    throw new Violation('the forgotten stays so', what);
  }

  /** Asks about a command that somebody was told of: it cannot be unknown. */
  async #resolve(clerk: Clerk): Promise<void> {
    const { oracle } = this.#parts;
    const asked = oracle.lastAcknowledged;
    if (asked === null) return;
    const { sessionId, seq } = asked;
    let state: Resolution['state'];
    try {
      state = (await clerk.resolve(seq, { sessionId })).state;
    } catch (error) {
      // Somebody else's session may have ended.
      if (error instanceof KvError && error.code === 'SESSION_EXPIRED') return;
      throw error;
    }
    if (state !== 'notExecuted') return;
    const what = `seq ${seq} of session ${sessionId} was acknowledged, and is "${state}"`;
    throw new Violation('resolve tells the truth', what);
  }

  async #append(label: string, clerk: Clerk): Promise<void> {
    const { history, replay } = this.#parts;
    const key = history.appendTargets().appends;
    const token = history.token(label);
    const end = history.beginAppend(label, [key], token);
    try {
      const { valueBytes, seq, revision } = await clerk.append(key, token);
      judgeWrite(replay, label, { key, value: utf8Bytes(token), revision, valueBytes });
      this.#revision = revision;
      this.#acknowledged(clerk, seq);
      end({ ending: 'acknowledged', bytes: [valueBytes] });
    } catch (error) {
      end({ ending: endingOf(error), bytes: null });
      throw error;
    }
  }

  async #appendPair(label: string, clerk: Clerk): Promise<void> {
    const { history, replay } = this.#parts;
    const [first, second] = history.appendTargets().pair;
    const token = history.token(label);
    const end = history.beginAppend(label, [first, second], token);
    try {
      const success = [first, second].map((key) => ({ append: key, value: token }));
      const { results, seq, revision } = await clerk.txn({ success });
      this.#revision = revision;
      this.#acknowledged(clerk, seq);
      const bytes = results.map((one) => (one.type === 'append' ? one.valueBytes : 0));
      for (const [i, key] of [first, second].entries()) {
        const valueBytes = bytes[i] ?? 0;
        judgeWrite(replay, label, { key, value: utf8Bytes(token), revision, valueBytes });
      }
      end({ ending: 'acknowledged', bytes });
    } catch (error) {
      end({ ending: endingOf(error), bytes: null });
      throw error;
    }
  }

  async #read(label: string, clerk: Clerk): Promise<void> {
    const { history } = this.#parts;
    const key = history.appendTargets().appends;
    if (this.#stream.chance(0.3)) {
      history.staleRead(key, await clerk.get(key, { serializable: true }));
      return;
    }
    const end = history.beginRead(label, key);
    const terms = this.#parts.oracle.leaders.size;
    let output: string | null = null;
    try {
      output = await clerk.get(key);
    } catch (error) {
      end({ ending: endingOf(error), ...NOTHING_TOLD });
      throw error;
    }
    end({ ending: 'acknowledged', output, deleted: null });
    if (this.#parts.oracle.leaders.size > terms) {
      this.#parts.network.counters.add('sometimes: read across a change of leader');
    }
  }

  async #register(label: string, clerk: Clerk): Promise<void> {
    const { history } = this.#parts;
    const key = history.registerKey(this.#stream.below(3));
    const kind = this.#stream.pick(['get', 'get', 'put', 'append', 'txn', 'delete'] as const);
    const value = history.token(label).padEnd(kind === 'put' ? this.plan.valueBytes : 0, '.');
    const operation = operationOf(kind, value);
    const end = history.beginCall(label, key, operation);
    try {
      const told = await this.#registerCall(clerk, kind, { label, key, value });
      end({ ending: 'acknowledged', ...told });
    } catch (error) {
      end({ ending: endingOf(error), ...NOTHING_TOLD });
      throw error;
    }
  }

  async #registerCall(
    clerk: Clerk,
    kind: RegisterCall,
    { label, key, value }: { label: string; key: string; value: string },
  ): Promise<Omit<CallEnd, 'ending'>> {
    const { replay } = this.#parts;
    switch (kind) {
      case 'get':
        return { ...NOTHING_TOLD, output: await clerk.get(key) };
      case 'delete': {
        const { seq, deleted, revision } = await clerk.delete(key);
        if (deleted > 0) judgeDelete(replay, label, { key, revision });
        this.#acknowledged(clerk, seq);
        return { ...NOTHING_TOLD, deleted: deleted > 0 };
      }
      case 'txn': {
        if (this.plan.valueBytes >= LARGE_BYTES && this.#stream.chance(LARGE)) {
          return await this.#writeMuch(clerk, { label, key, value });
        }
        const { seq, revision } = await clerk.txn({ success: [{ put: key, value }] });
        const told = { key, value: utf8Bytes(value), revision, valueBytes: null };
        judgeWrite(replay, label, told);
        this.#acknowledged(clerk, seq);
        return NOTHING_TOLD;
      }
      default: {
        const { seq, revision, ...more } = await clerk[kind](key, value);
        const valueBytes = 'valueBytes' in more ? more.valueBytes : null;
        judgeWrite(replay, label, { key, value: utf8Bytes(value), revision, valueBytes });
        this.#revision = revision;
        this.#acknowledged(clerk, seq);
        return NOTHING_TOLD;
      }
    }
  }

  /** Changes many keys in one revision. */
  async #writeMuch(
    clerk: Clerk,
    { label, key, value }: { label: string; key: string; value: string },
  ): Promise<Omit<CallEnd, 'ending'>> {
    const { replay, history } = this.#parts;
    const step = history.beginLarge();
    try {
      const { seq, revision } = await clerk.txn({
        success: [{ put: key, value }, ...(step === null ? [] : largeChanges(step))],
      });
      judgeWrite(replay, label, { key, value: utf8Bytes(value), revision, valueBytes: null });
      this.#acknowledged(clerk, seq);
    } finally {
      if (step !== null) history.endLarge();
    }
    return NOTHING_TOLD;
  }

  /** @throws Violation when the command is not in the committed log. */
  #acknowledged(clerk: Clerk, seq: number): void {
    const { session } = clerk;
    if (session === null) return;
    this.#parts.oracle.acknowledged(session.id, seq);
    if (this.#bereft.delete(clerk)) {
      this.#parts.network.counters.add('sometimes: session ended, and another one went on');
    }
    this.#ackedSeqs.set(session.id, Math.max(this.#ackedSeqs.get(session.id) ?? 0, seq));
  }
}

/** Change number `step`, beside that of a register. */
function largeChanges(step: number): Step[] {
  const place = step % (LARGE_STEPS + 1);
  if (place === LARGE_STEPS) return [{ delete: { prefix: 'z' } }];
  return Array.from({ length: LARGE_KEYS }, (_, i) => ({
    put: `z${place * LARGE_KEYS + i}`,
    value: LARGE_VALUE,
  }));
}

function operationOf(kind: RegisterCall, value: string): KvOperation {
  switch (kind) {
    case 'get':
      return { type: 'get', output: null };
    case 'delete':
      return { type: 'delete', deleted: null };
    default:
      return { type: kind === 'append' ? 'append' : 'put', value };
  }
}

/** What an error says about the call: `applied` means that it happened. */
function endingOf(error: unknown): Ending {
  if (!(error instanceof KvError)) throw error;
  return error.outcome === 'applied' ? 'acknowledged' : error.outcome;
}
