import { describe, expect, test } from 'vitest';
import { StateCensus } from '../../src/kv/index.ts';
import { Prng } from '../../src/lib/index.ts';
import type { SnapshotChunk } from '../../src/transport/index.ts';
import { campaign, type Subject } from './campaign.ts';
import {
  appendOf,
  HASHES,
  LAST_INDEX,
  probeOf,
  SNAPSHOT_INDEX,
  snapshotChunks,
  VOTERS,
} from './leader.ts';
import { Life } from './life.ts';
import { type Left, NOTHING } from './machine.ts';
import { FULL, FULL_TIMEOUT_MS, SEED } from './scale.ts';

/** What a follower has promised its leaders. */
interface Promised {
  /** Everything up to here is durable and equal to the leader's log. */
  readonly matchIndex: number;
}

/** Lives through all that the leaders have to say; what it had promised when it ended. */
async function live(life: Life, chunks: readonly SnapshotChunk[]): Promise<Promised> {
  let matchIndex = 0;
  const say = async (message: Parameters<Life['hear']>[0]): Promise<void> => {
    const before = life.sent.length;
    await life.hear(message);
    for (const reply of life.sent.slice(before)) {
      if (reply.type === 'appendEntriesReply' && reply.accepted) matchIndex = reply.matchIndex;
      if (reply.type === 'installSnapshotReply') matchIndex = reply.matchIndex;
    }
  };
  for (let after = 0; after < 20; after += 4) {
    await say(appendOf({ after, upTo: after + 4, commit: after + 2 }));
  }
  await say(appendOf({ after: 20, upTo: 23, commit: 18, doomed: true }));
  // What only the first leader had is promised no more as soon as the second one speaks.
  matchIndex = Math.min(matchIndex, 20);
  for (let after = 20; after < 34; after += 2) {
    await say(appendOf({ after, upTo: after + 2, commit: after + 2 }));
  }
  for (const chunk of chunks) await say(chunk);
  for (let after = SNAPSHOT_INDEX; after < LAST_INDEX; after += 5) {
    await say(appendOf({ after, upTo: after + 5, commit: after + 5 }));
  }
  if (!life.isDead) await life.close();
  return { matchIndex };
}

/** @throws when a promise was broken, or the state is not that of the leaders' log. */
async function recover(left: Left, { matchIndex }: Promised): Promise<Left> {
  const life = await Life.start(left, { voters: VOTERS });
  const check = (): void => {
    const { appliedIndex, stateHash } = life.member.status();
    if (stateHash === HASHES[appliedIndex]) return;
    throw new Error(`another state than the leaders' at entry ${appliedIndex}`);
  };
  check();
  await life.hear(probeOf(matchIndex));
  const reply = life.sent.findLast(({ type }) => type === 'appendEntriesReply');
  if (reply?.type !== 'appendEntriesReply' || !reply.accepted) {
    throw new Error(`promised ${matchIndex}, and now answers ${JSON.stringify(reply?.type)}`);
  }
  check();
  for (let after = matchIndex; after < LAST_INDEX; after += 7) {
    const upTo = Math.min(after + 7, LAST_INDEX);
    await life.hear({ ...appendOf({ after, upTo, commit: upTo }), from: 3n, term: 3 });
    check();
  }
  const { appliedIndex } = life.member.status();
  if (appliedIndex !== LAST_INDEX) throw new Error(`came to ${appliedIndex} only`);
  await life.close();
  const end = life.machine.leftWhole();
  judgeRows(end);
  return end;
}

/** What was closed holds the whole state, row by row. */
function judgeRows({ engines }: Left): void {
  expect(engines.length).toBe(1);
  const census = new StateCensus();
  for (const row of engines[0]?.rows ?? []) census.add(row);
  const { position, stateHash } = census.finish();
  expect([position.index, position.stateHash, stateHash]).toEqual([
    LAST_INDEX,
    HASHES[LAST_INDEX],
    HASHES[LAST_INDEX],
  ]);
}

describe('a follower that crashes at any step', () => {
  test(
    'keeps every promise, and comes to the state that the log says',
    async () => {
      const chunks = await snapshotChunks();
      expect(chunks.length).toBeGreaterThan(3);
      const subject: Subject<Promised> = {
        live: async (dieAt) => {
          const life = await Life.start(NOTHING, { voters: VOTERS, dieAt });
          return { life, known: life.isDead ? { matchIndex: 0 } : await live(life, chunks) };
        },
        restart: (left, dieAt) => Life.start(left, { voters: VOTERS, dieAt }),
        recover: async (left, known) => void (await recover(left, known)),
      };
      const whole = await subject.live(Number.POSITIVE_INFINITY);
      expect(whole.known.matchIndex).toBe(LAST_INDEX);
      judgeRows(whole.life.machine.leftWhole());
      const result = await campaign(subject, { full: FULL, random: new Prng(SEED) });
      expect(result.steps).toBeGreaterThan(150);
      expect(result.states).toBeGreaterThan(120);
      expect(result.midInstall).toBeGreaterThan(4);
    },
    FULL_TIMEOUT_MS,
  );
});
