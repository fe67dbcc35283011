import {
  type Command,
  encodeCommand,
  type Operation,
  type Query,
  type Reply,
  type StateFeed,
  type Withdraw,
} from '../../api/index.ts';
import { KvStateMachine } from '../../kv/index.ts';
import { Followers } from '../../server/followers.ts';
import { memoryStore } from '../../store/index.ts';
import type { FakeClock } from './fake-clock.ts';
import type { Backend } from './fake-cluster.ts';
import { refusal } from './fake-store.ts';

/** How often log time moves by itself, so that leases end, milliseconds. */
const TICK_MS = 100;

/** The real state machine and the server's followers, without a log: a command is applied. */
export class MachineBackend implements Backend {
  readonly machine = new KvStateMachine({ store: memoryStore() });
  /** Who asks for confirmation gets this refusal; null: a quorum confirms. */
  refusal: Uint8Array | null = null;
  /** How often confirmation was asked for. */
  confirmations = 0;
  /** Queries that came, confirmed or not. */
  queries: Query['query'][] = [];
  readonly followers: Followers;
  readonly #clock: FakeClock;
  readonly #listeners = new Set<() => void>();
  #index = 0;

  constructor(clock: FakeClock) {
    this.#clock = clock;
    this.followers = new Followers({
      feed: this.#feed(),
      clock,
      confirm: (done) => {
        this.confirmations++;
        done(this.refusal);
      },
      refusals: {
        stopped: new Uint8Array(0),
        overloaded: new Uint8Array(0),
        withdrawn: refusal('CANCELLED_NOT_APPLIED', 'withdrawn'),
      },
    });
  }

  execute(command: Command): Uint8Array {
    const [answer] = this.#apply([encodeCommand(command)]);
    if (answer === undefined) throw new Error('no answer');
    return answer;
  }

  read(query: Query, reply: Reply): Withdraw | undefined {
    this.queries.push(query.query);
    const asked = query.query;
    if (asked.type === 'changes' && asked.from !== null && asked.waitMs > 0) {
      return this.followers.follow({ ...asked, from: asked.from }, reply);
    }
    return void reply(this.machine.query(query));
  }

  /** Somebody else changes something. */
  change(...operations: Operation[]): void {
    this.#apply(
      operations.map((operation) => encodeCommand({ type: 'operation', session: null, operation })),
    );
  }

  /** Lets log time follow the clock for so long: leases end without a command. */
  tickFor(ms: number): void {
    const untilMs = this.#clock.nowMs() + ms;
    const tick = (): void => {
      this.#apply([]);
      if (this.#clock.nowMs() < untilMs) this.#clock.setTimer(TICK_MS, tick);
    };
    tick();
  }

  #apply(commands: Uint8Array[]): Uint8Array[] {
    const timeMs = Math.floor(this.#clock.nowMs());
    const batch = { index: ++this.#index, term: 1, timeMs, commands, conf: null };
    const answers = this.machine.apply(batch);
    for (const listener of this.#listeners) listener();
    return answers;
  }

  #feed(): StateFeed {
    const { machine } = this;
    return {
      get revision() {
        return machine.revision;
      },
      get compactRevision() {
        return machine.compactRevision;
      },
      get compacting() {
        return machine.compacting;
      },
      changes: (request) => machine.changes(request),
      onApplied: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
    };
  }
}
