import { expect, test } from 'vitest';
import { verdictLines } from './report.ts';
import type { Evidence, Judgement } from './verify.ts';

const evidence: Evidence = {
  commands: [],
  held: new Map(),
  members: 3,
  replicas: ['m1', 'm2', 'm3'].map((member) => ({ member, appliedIndex: 9, stateHash: 'f0' })),
  faults: { kills: 5, freezes: 1, droppedReplyBytes: 1_536 },
  takeovers: [{ clerk: 'c2', inDoubt: 24, executed: 16, repeated: 8, refusal: 'SESSION_FENCED' }],
  anomalies: [],
};
const good: Judgement = {
  ...{ issued: 10, acknowledged: 9, missing: 0, repeated: 0, outOfOrder: 0 },
  failures: [],
};

test('a good verdict is a short block that ends with PASS', () => {
  expect(verdictLines(evidence, good, [300, 1_000, 200]).join('\n')).toBe(`
  commands  acknowledged 9, missing 0, repeated 0, out of order 0
  in doubt  24 resolved, 16 had run, 8 were repeated; the dropped c2 got SESSION_FENCED
  faults    5 leaders killed, 1 frozen, 1.5 KiB of replies dropped
  replicas  3 of 3 with state hash f0 at index 9
  pauses    longest after a leader kill 1000 ms (300, 1000, 200)

PASS`);
});

test('a bad verdict says what failed, at most ten times', () => {
  const failures = Array.from({ length: 12 }, (_, at) => `lost: ${at}`);
  const lines = verdictLines(evidence, { ...good, failures }, []);
  expect(lines.slice(lines.indexOf('FAIL: 12 contradictions or omissions'))).toEqual([
    'FAIL: 12 contradictions or omissions',
    ...failures.slice(0, 10).map((failure) => `  - ${failure}`),
    '  - and 2 more',
  ]);
});

test('members that differ are counted by state', () => {
  const replicas = evidence.replicas.map((replica) =>
    replica.member === 'm2' ? { ...replica, stateHash: 'f1' } : replica,
  );
  const lines = verdictLines({ ...evidence, replicas }, good, []);
  expect(lines).toContain(
    '  replicas  2 of 3 with state hash f0 at index 9, 1 of 3 with state hash f1 at index 9',
  );
});
