import type { MemberId } from '../raft/index.ts';

/** Why a command or read was not served, and by that whether it may have happened. */
export type Refusal =
  /** Not applied: this member does not lead. */
  | { readonly type: 'notLeader'; readonly leader: MemberId | null }
  /** Unknown: proposed here, and then leadership was lost (thesis §6.3: ask again). */
  | { readonly type: 'leadershipLost'; readonly leader: MemberId | null }
  /** Unknown: proposed here, undecided within the time limit. */
  | { readonly type: 'timeout' }
  /** Not applied: a queue is full. */
  | { readonly type: 'overloaded' }
  /** Not applied: this member is stopping. */
  | { readonly type: 'stopped' };

/** The end of one proposed command. */
export type ProposeOutcome = { readonly type: 'applied'; readonly answer: Uint8Array } | Refusal;

/**
 * The end of one read barrier: `confirmed` means that the local state is fresh enough to serve the
 * read.
 */
export type ReadOutcome = { readonly type: 'confirmed' } | Refusal;
