import { type Command, decodeCommand, type Operation, type TxnOperation } from '../api/index.ts';
import { bytesKey } from '../lib/index.ts';
import type { Entry } from '../raft/index.ts';
import { decodeBatch } from '../replica/index.ts';
import { ReplaySessions } from './replay-sessions.ts';

const NOTHING = new Uint8Array(0);

/** What a revision made of one key. */
export interface ReplayChange {
  readonly revision: number;
  readonly type: 'put' | 'delete';
  /** One character for each byte, so that it orders as its bytes do. */
  readonly key: string;
  /** Empty after a deletion. */
  readonly value: Uint8Array;
  /** 0 after a deletion, as `version`. */
  readonly createRevision: number;
  readonly version: number;
  /** What made the key what it was before; null when there was none. */
  readonly before: ReplayChange | null;
}

/**
 * The committed log, executed once more by a reading of the rules that shares no code with the
 * state machine: which revisions there are, what each did, and what was compacted. It knows what
 * the simulation's clients say, and refuses to guess about anything else.
 */
export class Replay {
  readonly #sessions = new ReplaySessions();
  readonly #keys = new Map<string, ReplayChange>();
  /** By revision; the first that a command makes is 2. */
  readonly #revisions: (readonly ReplayChange[])[] = [[], []];
  readonly #compactions = new Set<number>();
  #compactRevision = 0;
  /** Of the command in hand. */
  #changes: ReplayChange[] = [];

  /** The newest one. */
  get revision(): number {
    return this.#revisions.length - 1;
  }

  /** The oldest that can still be read; 0: nothing was compacted. */
  get compactRevision(): number {
    return this.#compactRevision;
  }

  /** Whether the history was compacted to exactly this revision at some time. */
  wasCompactedTo(revision: number): boolean {
    return this.#compactions.has(revision);
  }

  /** In the order in which the command made them. */
  changesOf(revision: number): readonly ReplayChange[] {
    return this.#revisions[revision] ?? [];
  }

  /** Keys that were changed last; at most so many. */
  recentKeys(count: number): readonly string[] {
    const keys = new Set<string>();
    for (let revision = this.revision; revision > 1 && keys.size < count; revision--) {
      for (const { key } of this.changesOf(revision)) keys.add(key);
    }
    return [...keys].slice(0, count);
  }

  /** The next committed entry. */
  apply(entry: Entry): void {
    if (entry.kind !== 'command') return;
    const { timeMs, commands } = decodeBatch(entry.data);
    this.#sessions.advanceTo(timeMs);
    for (const bytes of commands) this.#applyCommand(decodeCommand(bytes));
  }

  #applyCommand(command: Command): void {
    if (command.type === 'openSession') return this.#sessions.open(command);
    if (command.type === 'closeSession') return this.#sessions.close(command);
    if (command.session !== null && !this.#sessions.executes(command.session)) return;
    this.#changes = [];
    this.#execute(command.operation);
    if (this.#changes.length > 0) this.#revisions.push(this.#changes);
  }

  #execute(operation: Operation | TxnOperation): void {
    switch (operation.type) {
      case 'put':
        if (operation.ignoreValue === true) throw new Error('the replay knows no kept values');
        return this.#put(operation.key, operation.value);
      case 'append': {
        const before = this.#keys.get(bytesKey(operation.key))?.value ?? NOTHING;
        return this.#put(operation.key, Buffer.concat([before, operation.value]));
      }
      case 'delete':
        return this.#delete(bytesKey(operation.range.from), operation.range.to);
      case 'txn':
        if (operation.compares.length > 0) throw new Error('the replay knows no conditions');
        for (const each of operation.success) this.#execute(each);
        return;
      case 'compact':
        return this.#compact(operation.revision);
      case 'skip':
      case 'range':
        return;
      default:
        throw new Error(`the replay knows no ${operation.type}`);
    }
  }

  #put(keyBytes: Uint8Array, value: Uint8Array): void {
    const key = bytesKey(keyBytes);
    const before = this.#keys.get(key) ?? null;
    const revision = this.revision + 1;
    const change: ReplayChange = {
      ...{ revision, type: 'put', key, value, before },
      createRevision: before?.createRevision ?? revision,
      version: (before?.version ?? 0) + 1,
    };
    this.#keys.set(key, change);
    this.#changes.push(change);
  }

  #delete(from: string, to: Uint8Array | null): void {
    const end = to === null ? null : bytesKey(to);
    const doomed = [...this.#keys.keys()].filter((key) => key >= from && (!end || key < end));
    for (const key of doomed.sort()) {
      const before = this.#keys.get(key) ?? null;
      this.#keys.delete(key);
      const deletion = { type: 'delete', value: NOTHING, createRevision: 0, version: 0 } as const;
      this.#changes.push({ revision: this.revision + 1, key, before, ...deletion });
    }
  }

  #compact(revision: number): void {
    if (revision <= this.#compactRevision || revision > this.revision) return;
    this.#compactRevision = revision;
    this.#compactions.add(revision);
  }
}
