import { afterEach, expect, test } from 'vitest';
import { type Clock, memoryDisk, silentLog, type Timer } from '../io/index.ts';
import { Prng } from '../lib/index.ts';
import type { AppendEntries, Message } from '../raft/index.ts';
import { openWal, type Wal } from '../wal/index.ts';
import { encodeBatch } from './batch.ts';
import { type Done, Replica, savedMachine } from './index.ts';
import { Recorder } from './testing/recorder.ts';

/*
 * A follower on a log of real segments, and leaders that come and go. Each new term is a hard state
 * in a block of its own, so the files grow where no entry does.
 */
const SEGMENT_BYTES = 64 * 1024;
const LOG_BYTES_MAX = 256 * 1024;
/** The bound, half of it for followers that may need it, the active segment and the oldest. */
const FILE_BYTES_MAX = 1.5 * LOG_BYTES_MAX + 2 * SEGMENT_BYTES;
const TERMS = 1_500;

const CONF = {
  voters: [1n, 2n, 3n],
  outgoingVoters: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** Turns run, but no time passes: no timer ever fires. */
class TurnClock implements Clock {
  #waiting = 0;
  readonly nowMs = (): number => 0;
  readonly wallMs = (): number => 0;

  setTimer(): Timer {
    return { cancel: () => {} };
  }

  defer(run: () => void): void {
    this.#waiting++;
    setImmediate(() => {
      this.#waiting--;
      run();
    });
  }

  /** Until nothing runs any more: neither a turn, nor what the disk in memory calls back with. */
  async settle(): Promise<void> {
    for (let idle = 0; idle < 3; idle++) {
      if (this.#waiting > 0) idle = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

interface Scene {
  readonly clock: TurnClock;
  readonly wal: Wal;
  readonly replica: Replica;
  readonly failures: Error[];
}

let replica: Replica | null = null;

afterEach(async () => {
  await replica?.close();
  replica = null;
});

async function follower(): Promise<Scene> {
  const clock = new TurnClock();
  const failures: Error[] = [];
  const onFailure = (error: Error): void => void failures.push(error);
  const wal = await openWal({
    ...{ disk: memoryDisk(), clock, log: silentLog, directory: '/data', onFailure },
    identity: { clusterId: 5n, memberId: 1n },
    confState: CONF,
    limits: { segmentBytes: SEGMENT_BYTES },
  });
  const write = (_bytes: Uint8Array, done: Done): void => clock.defer(() => done(null));
  const storage = { initial: null, write };
  const prng = new Prng(1);
  const made = new Replica({
    ...{ id: 1n, wal, clock, log: silentLog, onFailure },
    stateMachine: savedMachine(new Recorder(), { storage, clock }),
    send: (_messages: readonly Message[]) => {},
    sendBulk: () => true,
    random: { uint32: () => prng.below(2 ** 32) },
    timing: { tickMs: 10, heartbeatMs: 100, electionTimeoutMs: 500, requestTimeoutMs: 5_000 },
    compaction: { bytesMax: LOG_BYTES_MAX, entriesMax: 1_000_000 },
  });
  replica = made;
  return { clock, wal, replica: made, failures };
}

/** From the leader of `term`, with the entries behind `after` up to `upTo`, which are committed. */
function append(term: number, after: number, upTo: number, entryTerm = term): AppendEntries {
  const entries = Array.from({ length: upTo - after }, (_, i) => {
    const data = encodeBatch({ timeMs: 0, commands: [Uint8Array.of(1)] });
    return { kind: 'command', index: after + 1 + i, term: entryTerm, data } as const;
  });
  return {
    ...{ type: 'appendEntries', from: 2n, to: 1n, term, entries, leaderCommit: upTo },
    prevLogIndex: after,
    prevLogTerm: after === 0 ? 0 : entryTerm,
  };
}

test('thousands of terms without an entry do not let the log grow', async () => {
  const { clock, wal, failures, ...scene } = await follower();
  scene.replica.step(append(1, 0, 10));
  await clock.settle();
  let bytesMax = 0;
  for (let term = 2; term <= TERMS; term++) {
    scene.replica.step(append(term, 10, 10, 1));
    await clock.settle();
    bytesMax = Math.max(bytesMax, wal.sizeBytes);
  }
  expect(failures).toEqual([]);
  expect(scene.replica.status()).toMatchObject({ term: TERMS, applied: 10 });
  expect(bytesMax).toBeLessThanOrEqual(FILE_BYTES_MAX);
  expect(bytesMax).toBeGreaterThan(LOG_BYTES_MAX);
});

test('nor do small entries, which take a block each and another one for their commit', async () => {
  const { clock, wal, failures, ...scene } = await follower();
  let bytesMax = 0;
  for (let index = 1; index <= TERMS / 2; index++) {
    const message = append(1, index - 1, index);
    scene.replica.step({ ...message, leaderCommit: index - 1 });
    await clock.settle();
    scene.replica.step(append(1, index, index));
    await clock.settle();
    bytesMax = Math.max(bytesMax, wal.sizeBytes);
  }
  expect(failures).toEqual([]);
  expect(scene.replica.status().applied).toBe(TERMS / 2);
  expect(bytesMax).toBeLessThanOrEqual(FILE_BYTES_MAX);
  expect(bytesMax).toBeGreaterThan(LOG_BYTES_MAX);
});
