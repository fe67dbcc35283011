import { encodeCommand } from '../../src/api/index.ts';
import { KvStateMachine, positionOf } from '../../src/kv/index.ts';
import { append, del, inSession, openSession, put } from '../../src/kv/testing/harness.ts';
import type { AppendEntries, Entry } from '../../src/raft/index.ts';
import { decodeBatch, encodeBatch } from '../../src/replica/index.ts';
import { encodeSnapshotMeta } from '../../src/server/snapshot-meta.ts';
import { durableStore, memoryEngines, memoryStore, writeSnapshot } from '../../src/store/index.ts';
import type { SnapshotChunk } from '../../src/transport/index.ts';
import { CLUSTER_ID, SELF } from './life.ts';

/*
 * The side of the leaders, of which there are two, one after the other:
 *
 *   term 2   1 … 20, and 21 … 23 that nobody else has: they are replaced
 *   term 3                21 … 60; a snapshot is taken at 45
 *
 * Their log is also the model: what a member's state is at an index follows from it alone.
 */
export const LAST_INDEX = 60;
export const SNAPSHOT_INDEX = 45;
const CHANGE_INDEX = 21;
const FILLER_BYTES = 3_000;
const CHUNK_BYTES = 8 * 1024;
const SESSION = 1;
export const VOTERS = [1n, 2n, 3n];

/** The committed log. */
export const LOG: readonly Entry[] = Array.from({ length: LAST_INDEX }, (_, i) =>
  entryAt(i + 1, i + 1 < CHANGE_INDEX ? 2 : 3),
);

/** What the first leader still appended, and nobody else has. */
export const DOOMED: readonly Entry[] = [21, 22, 23].map((index) => command(index, 2, index + 100));

function entryAt(index: number, term: number): Entry {
  const isFirst = index === 1 || index === CHANGE_INDEX;
  return isFirst ? { kind: 'empty', index, term } : command(index, term, index);
}

/** A few commands of every kind; what they do follows from `n`. */
function command(index: number, term: number, n: number): Entry {
  const seq = n - 2;
  const commands =
    n === 2
      ? [openSession('crash', 1)]
      : [
          inSession(append('all', `<${n}>`), SESSION, n < CHANGE_INDEX ? seq : seq - 1),
          { type: 'operation', session: null, operation: operationOf(n) } as const,
        ];
  const data = encodeBatch({ timeMs: 1_000 + 10 * index, commands: commands.map(encodeCommand) });
  return { kind: 'command', index, term, data };
}

function operationOf(n: number) {
  if (n % 10 === 0) return { type: 'compact', revision: n } as const;
  if (n % 5 === 0) return del(`key-${n - 1}`);
  return put(`key-${n}`, 'x'.repeat(n % 2 === 0 ? FILLER_BYTES : 10));
}

function applied(machine: KvStateMachine, upTo: number): void {
  let timeMs = 0;
  for (const { index, term, ...entry } of LOG.slice(0, upTo)) {
    const batch = entry.kind === 'command' ? decodeBatch(entry.data) : null;
    timeMs = batch?.timeMs ?? timeMs;
    machine.apply({ index, term, timeMs, commands: batch?.commands ?? [], conf: null });
  }
}

/** Hash of the state after each index; of the empty one first. */
export const HASHES: readonly string[] = Array.from({ length: LAST_INDEX + 1 }, (_, upTo) => {
  const machine = new KvStateMachine({ store: memoryStore() });
  applied(machine, upTo);
  return machine.stateHash();
});

/** Entries behind `after`, up to `upTo`, with a commit index. */
export function appendOf({
  after,
  upTo,
  commit,
  doomed = false,
}: {
  after: number;
  upTo: number;
  commit: number;
  doomed?: boolean;
}): AppendEntries {
  const term = doomed || upTo < CHANGE_INDEX - 1 ? 2 : 3;
  return {
    type: 'appendEntries',
    from: BigInt(term),
    to: SELF,
    term,
    prevLogIndex: after,
    prevLogTerm: LOG[after - 1]?.term ?? 0,
    entries: doomed ? DOOMED : LOG.slice(after, upTo),
    leaderCommit: commit,
  };
}

/** The second leader asks whether the log is equal up to `index`. */
export function probeOf(index: number): AppendEntries {
  return { ...appendOf({ after: index, upTo: index, commit: index }), from: 3n, term: 3 };
}

/** The pieces of the second leader's snapshot. */
export async function snapshotChunks(): Promise<SnapshotChunk[]> {
  const engine = await memoryEngines().open('leader', { create: true });
  const store = durableStore(engine);
  applied(new KvStateMachine({ store }), SNAPSHOT_INDEX);
  await new Promise<void>((resolve, reject) => {
    store.flush((error) => (error === null ? resolve() : reject(error)));
  });
  const view = store.view();
  const position = positionOf((table, key) => view.get(table, key));
  const meta = encodeSnapshotMeta({ clusterId: CLUSTER_ID, position });
  const stream = writeSnapshot(view, { meta, chunkBytesMax: CHUNK_BYTES });
  const pieces: Uint8Array[] = [];
  for (let piece = stream.next(); piece !== null; piece = stream.next()) pieces.push(piece);
  pieces.push(new Uint8Array());
  stream.close();
  await engine.close();
  const conf = { outgoingVoters: [], learners: [], learnersNext: [], autoLeave: false };
  return pieces.map((data, sequence) => ({
    type: 'snapshotChunk',
    from: 3n,
    to: SELF,
    transferId: 1,
    term: 3,
    position: { index: SNAPSHOT_INDEX, term: 3, confState: { voters: VOTERS, ...conf } },
    sequence,
    last: sequence === pieces.length - 1,
    data,
  }));
}
