import type { MemberId } from './types.ts';

/** The voters of a configuration. While joint, a majority of both lists is needed (Raft §6). */
export interface Quorums {
  readonly voters: readonly MemberId[];
  readonly outgoingVoters: readonly MemberId[];
}

/** How a poll stands: decided either way, or not yet. */
export type VoteResult = 'won' | 'lost' | 'pending';

/** Voters that make a majority of `voterCount`; 0 of 0, so the empty configuration always wins. */
export function majorityOf(voterCount: number): number {
  return voterCount === 0 ? 0 : Math.floor(voterCount / 2) + 1;
}

/**
 * The highest value that a quorum has reached, where `reachedBy` says what each voter has reached;
 * null without any voter. With `matchIndex` it is the index that may be committed (Raft §5.3, Fig.
 * 2); the same sum tells the last tick at which a quorum was heard and the last read attempt
 * confirmed.
 */
export function quorumValue(
  { voters, outgoingVoters }: Quorums,
  reachedBy: (voter: MemberId) => number,
): number | null {
  const incoming = majorityValue(voters, reachedBy);
  const outgoing = majorityValue(outgoingVoters, reachedBy);
  if (incoming === null || outgoing === null) return incoming ?? outgoing;
  return Math.min(incoming, outgoing);
}

function majorityValue(
  voters: readonly MemberId[],
  reachedBy: (voter: MemberId) => number,
): number | null {
  const values = voters.map(reachedBy).sort((a, b) => b - a);
  return values[majorityOf(voters.length) - 1] ?? null;
}

/** Counts a poll; `voteOf` gives a voter's answer, undefined while it has not answered. */
export function voteResult(
  { voters, outgoingVoters }: Quorums,
  voteOf: (voter: MemberId) => boolean | undefined,
): VoteResult {
  const incoming = majorityVote(voters, voteOf);
  const outgoing = majorityVote(outgoingVoters, voteOf);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

function majorityVote(
  voters: readonly MemberId[],
  voteOf: (voter: MemberId) => boolean | undefined,
): VoteResult {
  const needed = majorityOf(voters.length);
  let granted = 0;
  let open = 0;
  for (const voter of voters) {
    const vote = voteOf(voter);
    if (vote === undefined) open++;
    else if (vote) granted++;
  }
  if (granted >= needed) return 'won';
  return granted + open >= needed ? 'pending' : 'lost';
}
