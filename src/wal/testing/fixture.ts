import { silentLog } from '../../io/index.ts';
import { type MemoryDisk, memoryDisk } from '../../io/memory-disk.ts';
import type { ConfState, Entry, HardState } from '../../raft/index.ts';
import {
  type LogPosition,
  type OpenWalOptions,
  openWal,
  type Wal,
  type WalBatch,
  type WalLimits,
  type WalPlace,
} from '../index.ts';
import { TestClock } from './test-clock.ts';

export const DATA = '/data';
export const IDENTITY = { clusterId: 0xc1n, memberId: 0xa1n };
export const CONF_STATE: ConfState = {
  voters: [0xa1n, 0xa2n, 0xa3n],
  outgoingVoters: [],
  learners: [0xb1n],
  learnersNext: [],
  autoLeave: false,
};

/** Where the log of all tests is. */
export function place(disk: MemoryDisk): WalPlace {
  return { disk, log: silentLog, directory: DATA, identity: IDENTITY };
}

/** An opened log and everything around it. */
export interface Opened {
  readonly wal: Wal;
  readonly disk: MemoryDisk;
  readonly clock: TestClock;
  /** What `onFailure` was called with. */
  readonly failures: Error[];
}

export async function open(
  disk: MemoryDisk = memoryDisk(),
  limits: Partial<WalLimits> = { segmentBytes: 32 * 1024 },
  more: Partial<OpenWalOptions> = {},
): Promise<Opened> {
  const clock = new TestClock();
  const failures: Error[] = [];
  const wal = await openWal({
    ...place(disk),
    clock,
    confState: CONF_STATE,
    limits,
    onFailure: (error) => failures.push(error),
    ...more,
  });
  return { wal, disk, clock, failures };
}

/** Appends and waits until it is durable. */
export function append(wal: Wal, batch: WalBatch): Promise<void> {
  return new Promise((resolve) => wal.append(batch, resolve));
}

/** Everything that microtasks can do is done: with a disk in memory, all that will ever happen. */
export function quiescence(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function command(index: number, term: number, data: Uint8Array): Entry {
  return { kind: 'command', index, term, data };
}

/** `length` bytes that differ from entry to entry; none is zero. */
export function filler(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => ((i * 7 + seed * 13) % 255) + 1);
}

/** What a log holds, in a form that can be compared. */
export interface Content {
  /** Behind which it last started anew. */
  readonly base?: LogPosition | null;
  readonly hardState: HardState | null;
  readonly entries: readonly Entry[];
}

const EMPTY: Content = { base: null, hardState: null, entries: [] };

/** The content after each batch: [0] for none, [n] after n of them. */
export function contents(batches: readonly WalBatch[], from: Content = EMPTY): Content[] {
  const all: Content[] = [from];
  for (const batch of batches) {
    const last = all.at(-1) ?? EMPTY;
    const restart = batch.base ?? null;
    const first = batch.entries[0]?.index ?? Number.POSITIVE_INFINITY;
    const kept = restart === null ? last.entries.filter(({ index }) => index < first) : [];
    all.push({
      base: restart ?? last.base ?? null,
      hardState: batch.hardState ?? last.hardState,
      entries: [...kept, ...batch.entries],
    });
  }
  return all;
}

/** What a start must give back of `content` when the state machine stands at `state`. */
export function seenFrom(content: Content, state: LogPosition | null): Content {
  if (state === null) return content;
  const { entries, base } = content;
  const was = content.hardState ?? { term: 0, vote: null, commitIndex: 0 };
  const hardState = {
    term: Math.max(was.term, state.term),
    vote: state.term > was.term ? null : was.vote,
    commitIndex: Math.max(was.commitIndex, state.index),
  };
  const lastIndex = entries.at(-1)?.index ?? base?.index ?? 0;
  const same = entries.find(({ index }) => index === state.index);
  const isBehind = state.index > lastIndex || (same !== undefined && same.term !== state.term);
  if (isBehind) return { base: state, hardState, entries: [] };
  return { ...content, hardState, entries: entries.filter(({ index }) => index > state.index) };
}

/** Two contents are equal exactly if this text is. */
export function fingerprint({ hardState, entries }: Content): string {
  const replace = (_key: string, value: unknown): unknown => {
    if (typeof value === 'bigint') return `#${value}`;
    return value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value;
  };
  return JSON.stringify({ hardState, entries }, replace);
}

/** The same batches with higher indexes and terms: they follow a log that ends there. */
export function moved(batches: readonly WalBatch[], by: LogPosition): WalBatch[] {
  return batches.map(({ hardState, entries }) => ({
    hardState: hardState && {
      ...hardState,
      term: hardState.term + by.term,
      commitIndex: hardState.commitIndex + by.index,
    },
    entries: entries.map((entry) => ({
      ...entry,
      index: entry.index + by.index,
      term: entry.term + by.term,
    })),
  }));
}

/**
 * All kinds of records: every entry kind, hard states, replaced suffixes, zeros, several blocks.
 */
export function manyBatches(): WalBatch[] {
  const context = filler(9, 3);
  const change = { action: 'addLearner', memberId: 0xb2n } as const;
  return [
    { hardState: { term: 1, vote: 0xa1n, commitIndex: 0 }, entries: [] },
    { hardState: null, entries: [{ kind: 'empty', index: 1, term: 1 }] },
    {
      hardState: { term: 1, vote: 0xa1n, commitIndex: 1 },
      entries: [command(2, 1, filler(100, 2)), command(3, 1, filler(5000, 3))],
    },
    {
      hardState: null,
      entries: [
        { kind: 'confChange', index: 4, term: 1, change: { type: 'simple', change, context } },
        command(5, 1, new Uint8Array(3000)),
        command(6, 1, new Uint8Array(0)),
      ],
    },
    {
      hardState: { term: 2, vote: null, commitIndex: 3 },
      entries: [
        {
          kind: 'confChange',
          index: 5,
          term: 2,
          change: {
            type: 'enterJoint',
            changes: [change, { action: 'remove', memberId: 0xa3n }],
            autoLeave: true,
            context,
          },
        },
        { kind: 'confChange', index: 6, term: 2, change: { type: 'leaveJoint', context } },
      ],
    },
    { hardState: null, entries: [command(7, 2, filler(700, 7))] },
    {
      hardState: { term: 3, vote: 0xa2n, commitIndex: 5 },
      entries: [command(6, 3, filler(40, 6))],
    },
    { hardState: null, entries: [command(7, 3, filler(4000, 8)), command(8, 3, filler(1, 9))] },
    { hardState: { term: 3, vote: 0xa2n, commitIndex: 8 }, entries: [] },
  ];
}
