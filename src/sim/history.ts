import type { Call, KvOperation, TokenAppend } from '../checker/index.ts';
import type { Recording } from './recording.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

/** Calls and tokens of one key before its successor is used. */
const REGISTER_CALLS_MAX = 60;
const REGISTER_UNKNOWN_MAX = 4;
const APPENDS_MAX = 60;

interface MutableAppend extends TokenAppend {
  outcome: TokenAppend['outcome'];
}

/** How a call ended, for its caller. */
export type Ending = 'acknowledged' | 'notApplied' | 'unknown';

/** A key that clerks append tokens to. */
interface AppendKey {
  readonly appends: MutableAppend[];
  /** Longest value that anybody was told, bytes. */
  toldBytes: number;
  /** What was read, to be compared with what is there at the end. */
  readonly reads: string[];
}

/** Everything that clerks called and were told. Time is counted in events of the world. */
export class History {
  readonly #world: World;
  readonly #recording: Recording | null;
  readonly #appendKeys = new Map<string, AppendKey>();
  readonly #calls: { call: Call; kept: boolean }[] = [];
  readonly #unknown = new Map<string, number>();
  readonly #pairs = new Map<string, string>();
  #registers: { key: string; calls: number }[] = [];
  #registersMade = 0;
  #appendKeysMade = 0;
  #tokens = 0;
  #current: { appends: string; pair: readonly [string, string] } | null = null;
  #issued = 0;
  /** A large transaction is under way, or whoever made it has died meanwhile. */
  #isLarge = false;
  /** Those that began. */
  #large = 0;
  #pending = 0;
  readonly counts: Record<Ending, number> = { acknowledged: 0, notApplied: 0, unknown: 0 };

  constructor(world: World, recording: Recording | null) {
    this.#world = world;
    this.#recording = recording;
  }

  get issued(): number {
    return this.#issued;
  }

  /** Calls without an end. */
  get pending(): number {
    return this.#pending;
  }

  get appendKeys(): ReadonlyMap<string, AppendKey> {
    return this.#appendKeys;
  }

  /** Keys that get each token together. */
  get pairs(): ReadonlyMap<string, string> {
    return this.#pairs;
  }

  /** Calls on registers that may have happened. */
  get calls(): Call[] {
    return this.#calls.filter(({ kept }) => kept).map(({ call }) => call);
  }

  /** A key for the next register call; few keys are in use at a time. */
  registerKey(choice: number): string {
    const index = choice % 3;
    const used = this.#registers[index];
    const spent =
      used === undefined ||
      used.calls >= REGISTER_CALLS_MAX ||
      (this.#unknown.get(used.key) ?? 0) >= REGISTER_UNKNOWN_MAX;
    const register = spent ? { key: `r${++this.#registersMade}`, calls: 0 } : used;
    this.#registers[index] = register;
    register.calls++;
    return register.key;
  }

  /** The key that all clerks append to now, and the pair that transactions append to. */
  appendTargets(): { appends: string; pair: readonly [string, string] } {
    const current = this.#current;
    const full = (key: string): boolean =>
      (this.#appendKeys.get(key)?.appends.length ?? 0) >= APPENDS_MAX;
    if (current !== null && !full(current.appends) && !full(current.pair[0])) return current;
    const n = ++this.#appendKeysMade;
    const next = { appends: `a${n}`, pair: [`x${n}`, `y${n}`] as const };
    this.#pairs.set(next.pair[0], next.pair[1]);
    this.#current = next;
    return next;
  }

  /**
   * The number of the next large transaction; null: there is one under way, and all calls together
   * must fit into one segment of the log.
   */
  beginLarge(): number | null {
    if (this.#isLarge) return null;
    this.#isLarge = true;
    return this.#large++;
  }

  endLarge(): void {
    this.#isLarge = false;
  }

  /** A text that no other contains. */
  token(clerk: string): string {
    return `<${clerk}:${++this.#tokens}>`;
  }

  /** A call began on a register; the function returned takes its end. */
  beginCall(clerk: string, key: string, operation: KvOperation): (end: CallEnd) => void {
    const ended = this.#begin(clerk, `${operation.type} ${key}`);
    const called = this.#world.events;
    const entry = { call: { clerk, key, operation, called, returned: null } as Call, kept: true };
    this.#calls.push(entry);
    return (end) => {
      ended(end.ending);
      const isGet = operation.type === 'get';
      if (end.ending === 'acknowledged') {
        const told = toldBy(end, operation);
        entry.call = { ...entry.call, operation: told, returned: this.#world.events };
      } else if (isGet || end.ending === 'notApplied') {
        entry.kept = false;
      } else {
        this.#unknown.set(key, (this.#unknown.get(key) ?? 0) + 1);
      }
    };
  }

  /**
   * An append of a token began, on one key or on two together. `inOrder` false: the caller's
   * unknown appends may happen after its later ones.
   */
  beginAppend(
    clerk: string,
    keys: readonly string[],
    token: string,
    { inOrder = true }: { inOrder?: boolean } = {},
  ): (end: AppendEnd) => void {
    const ended = this.#begin(clerk, `append ${keys.join(' and ')}`);
    const appends = keys.map((key) => {
      const line = inOrder ? clerk : token;
      const append: MutableAppend = { clerk: line, token, outcome: 'unknown' };
      this.#appendKey(key).appends.push(append);
      return append;
    });
    return ({ ending, bytes }) => {
      ended(ending);
      for (const append of appends) append.outcome = ending;
      for (const [i, key] of keys.entries()) this.#told(key, bytes?.[i] ?? 0);
    };
  }

  /** A linearizable read of an append key: it must show what anybody was told before. */
  beginRead(clerk: string, key: string): (end: CallEnd) => void {
    const ended = this.#begin(clerk, `get ${key}`);
    const toldBytes = this.#appendKey(key).toldBytes;
    return ({ ending, output }) => {
      ended(ending);
      if (ending !== 'acknowledged') return;
      const value = output ?? '';
      if (value.length < toldBytes) {
        const what = `${value.length} bytes of ${key}, ${toldBytes} were acknowledged before`;
        throw new Violation('reads are fresh', what);
      }
      this.#appendKey(key).reads.push(value);
      this.#told(key, value.length);
    };
  }

  /** A read from one member's state, perhaps stale. */
  staleRead(key: string, value: string | null): void {
    this.#appendKey(key).reads.push(value ?? '');
  }

  #told(key: string, bytes: number): void {
    const appendKey = this.#appendKey(key);
    appendKey.toldBytes = Math.max(appendKey.toldBytes, bytes);
  }

  #appendKey(key: string): AppendKey {
    const found = this.#appendKeys.get(key);
    if (found !== undefined) return found;
    const made: AppendKey = { appends: [], toldBytes: 0, reads: [] };
    this.#appendKeys.set(key, made);
    return made;
  }

  #begin(clerk: string, what: string): (ending: Ending) => void {
    this.#issued++;
    this.#pending++;
    const record = this.#recording?.call({ clerk, what, fromMs: this.#world.nowMs });
    return (ending) => {
      this.#pending--;
      this.counts[ending]++;
      record?.(ending, this.#world.nowMs);
    };
  }
}

/** The end of a read or a register call. */
export interface CallEnd {
  readonly ending: Ending;
  /** What a get was told; null for others. */
  readonly output: string | null;
  /** Whether a delete found its key, as it was told; null for others. */
  readonly deleted: boolean | null;
}

function toldBy({ output, deleted }: CallEnd, operation: KvOperation): KvOperation {
  switch (operation.type) {
    case 'get':
      return { type: 'get', output };
    case 'delete':
      return { type: 'delete', deleted };
    default:
      return operation;
  }
}

/** The end of an append; `bytes`: lengths of the values afterwards, if told. */
export interface AppendEnd {
  readonly ending: Ending;
  readonly bytes: readonly number[] | null;
}
