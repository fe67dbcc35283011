import { type Clerk, createClerk, KvError } from '../client/index.ts';
import { InvariantViolation } from '../lib/index.ts';
import type { ClientNetwork } from './client-network.ts';
import type { Ending, History } from './history.ts';
import type { Oracle } from './oracle.ts';
import type { ClerkPlan } from './plan.ts';
import type { Planted } from './planted.ts';
import type { Process } from './process.ts';
import type { Stream } from './streams.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

/** What all clerks of a run share. */
export interface ClerkParts {
  readonly world: World;
  readonly network: ClientNetwork;
  readonly history: History;
  readonly oracle: Oracle;
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
  /** Highest seq of the named session that was acknowledged. */
  #ackedSeq = 0;
  #sessionId: number | null = null;

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
    };
    world.movePromises();
    createClerk(options, io).then(
      (clerk) => this.#connected(process, clerk),
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

  #connected(process: Process, clerk: Clerk): void {
    if (!process.alive) return;
    const { session } = clerk;
    if (session !== null) {
      if (this.#sessionId === session.id && session.lastSeq < this.#ackedSeq) {
        const what = `${process.name} found seq ${session.lastSeq}, ${this.#ackedSeq} was answered`;
        this.#parts.world.stop(new Violation('a session remembers', what));
      }
      this.#sessionId = session.id;
    }
    for (let i = 0; i < this.plan.concurrency; i++) this.#think(process, clerk);
  }

  #think(process: Process, clerk: Clerk): void {
    this.#later(process, this.#stream.exponential(this.plan.thinkMs), () => {
      if (this.#stopped) return;
      this.#countPending(process, 1);
      this.#call(process.name, clerk)
        .finally(() => this.#countPending(process, -1))
        .then(
          () => this.#think(process, clerk),
          (error: unknown) => this.#failed(process, clerk, error),
        );
    });
  }

  #countPending(process: Process, change: number): void {
    this.#pending.set(process, (this.#pending.get(process) ?? 0) + change);
  }

  #failed(process: Process, clerk: Clerk, error: unknown): void {
    const { world } = this.#parts;
    if (!(error instanceof KvError)) {
      const reason = error instanceof Error ? error : new Error(String(error));
      const isBug = reason instanceof InvariantViolation;
      world.stop(isBug ? new Violation('clerks do not break', reason.message) : reason);
      return;
    }
    world.trace(process.name, `${error.code}: ${error.message}`);
    if (error.code === 'SESSION_STALE') {
      const what = `${process.name}: ${error.message}`;
      return world.stop(new Violation('an answer is kept until it has arrived', what));
    }
    this.#parts.network.counters.add(`sometimes: call ended ${error.code}`);
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
    switch (this.plan.work) {
      case 'appends':
        return this.#stream.chance(0.8) ? this.#append(label, clerk) : this.#read(clerk);
      case 'pairs':
        return this.#appendPair(label, clerk);
      case 'registers':
        return this.#register(label, clerk);
    }
  }

  async #append(label: string, clerk: Clerk): Promise<void> {
    const { history } = this.#parts;
    const key = history.appendTargets().appends;
    const token = history.token(label);
    const end = history.beginAppend(label, [key], token);
    try {
      const { valueBytes, seq } = await clerk.append(key, token);
      this.#acknowledged(clerk, seq);
      end({ ending: 'acknowledged', bytes: [valueBytes] });
    } catch (error) {
      end({ ending: endingOf(error), bytes: null });
      throw error;
    }
  }

  async #appendPair(label: string, clerk: Clerk): Promise<void> {
    const { history } = this.#parts;
    const [first, second] = history.appendTargets().pair;
    const token = history.token(label);
    const end = history.beginAppend(label, [first, second], token);
    try {
      const success = [first, second].map((key) => ({ append: key, value: token }));
      const { results, seq } = await clerk.txn({ success });
      this.#acknowledged(clerk, seq);
      const bytes = results.map((one) => (one.type === 'append' ? one.valueBytes : 0));
      end({ ending: 'acknowledged', bytes });
    } catch (error) {
      end({ ending: endingOf(error), bytes: null });
      throw error;
    }
  }

  async #read(clerk: Clerk): Promise<void> {
    const { history } = this.#parts;
    const key = history.appendTargets().appends;
    if (this.#stream.chance(0.3)) {
      history.staleRead(key, await clerk.get(key, { serializable: true }));
      return;
    }
    const end = history.beginRead(key);
    let output: string | null = null;
    try {
      output = await clerk.get(key);
    } catch (error) {
      end({ ending: endingOf(error), output: null });
      throw error;
    }
    end({ ending: 'acknowledged', output });
  }

  async #register(label: string, clerk: Clerk): Promise<void> {
    const { history } = this.#parts;
    const key = history.registerKey(this.#stream.below(3));
    const kind = this.#stream.pick(['get', 'get', 'put', 'append', 'txn'] as const);
    const value = history.token(label).padEnd(kind === 'put' ? this.plan.valueBytes : 0, '.');
    if (kind === 'get') {
      const end = history.beginCall(label, key, { type: 'get', output: null });
      try {
        end({ ending: 'acknowledged', output: await clerk.get(key) });
      } catch (error) {
        end({ ending: endingOf(error), output: null });
        throw error;
      }
      return;
    }
    const type = kind === 'append' ? 'append' : 'put';
    const end = history.beginCall(label, key, { type, value });
    try {
      const { seq } =
        kind === 'txn'
          ? await clerk.txn({ success: [{ put: key, value }] })
          : await clerk[kind](key, value);
      this.#acknowledged(clerk, seq);
      end({ ending: 'acknowledged', output: null });
    } catch (error) {
      end({ ending: endingOf(error), output: null });
      throw error;
    }
  }

  /** @throws Violation when the command is not in the committed log. */
  #acknowledged(clerk: Clerk, seq: number): void {
    const { session } = clerk;
    if (session === null) return;
    this.#parts.oracle.acknowledged(session.id, seq);
    if (session.id === this.#sessionId) this.#ackedSeq = Math.max(this.#ackedSeq, seq);
  }
}

/** What an error says about the call: `applied` means that it happened. */
function endingOf(error: unknown): Ending {
  if (!(error instanceof KvError)) throw error;
  return error.outcome === 'applied' ? 'acknowledged' : error.outcome;
}

/** The process's clock; whatever it calls may settle promises. */
function wakingClock(process: Process, world: World): Process['clock'] {
  const { clock } = process;
  const waking = (run: () => void) => () => {
    world.movePromises();
    run();
  };
  return {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    setTimer: (delayMs, run) => clock.setTimer(delayMs, waking(run)),
    defer: (run) => clock.defer(waking(run)),
  };
}
