import { expect, test } from 'vitest';
import { accepted, ELECTION_TICKS, heartbeatReply, only, Solo } from './testing/index.ts';

function leader(): Solo {
  const solo = new Solo();
  solo.becomeSettledLeader();
  return solo;
}

test('a TimeoutNow that is lost is sent again when the target is heard', () => {
  const solo = leader();
  expect(
    only(
      solo.run((raft) => raft.transferLeadership(2n)),
      'timeoutNow',
    ),
  ).toHaveLength(1);
  expect(only(solo.receive(heartbeatReply({ from: 2n })), 'timeoutNow')).toHaveLength(1);
  expect(only(solo.receive(heartbeatReply({ from: 3n })), 'timeoutNow')).toEqual([]);
});

test('asking again for the same target does not prolong the transfer', () => {
  const solo = leader();
  for (let i = 0; i < ELECTION_TICKS; i++) {
    expect(solo.raft.transferLeadership(2n)).toBe(true);
    solo.tick();
    solo.receive(heartbeatReply({ from: 2n }), heartbeatReply({ from: 3n }));
  }
  expect(solo.raft.propose(new Uint8Array(1))).toMatchObject({ accepted: true });
});

test('another target takes the place of the first', () => {
  const solo = leader();
  solo.propose();
  solo.receive(accepted({ from: 3n, matchIndex: 2 }));
  expect(
    only(
      solo.run((raft) => raft.transferLeadership(2n)),
      'timeoutNow',
    ),
  ).toEqual([]);
  const sent = only(
    solo.run((raft) => raft.transferLeadership(3n)),
    'timeoutNow',
  );
  expect(sent.map(({ to }) => to)).toEqual([3n]);
  expect(only(solo.receive(accepted({ from: 2n, matchIndex: 2 })), 'timeoutNow')).toEqual([]);
});
