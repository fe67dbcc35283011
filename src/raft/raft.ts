import type { Message } from './message.ts';
import type { RaftOptions } from './options.ts';
import type { Ready } from './ready.ts';
import type { ConfChange, ConfState, MemberId, Role, SnapshotMeta } from './types.ts';

/** What became of a proposal: accepted at a place in the log (not yet committed), or refused (not applied). */
export type ProposeResult =
  | { readonly accepted: true; readonly index: number; readonly term: number }
  | {
      readonly accepted: false;
      readonly reason: 'notLeader' | 'transferring' | 'overloaded' | 'confChangePending' | 'confChangeInvalid';
    };

/** Interface sketch; replaced by the core. */
export declare class Raft {
  constructor(options: RaftOptions);
  readonly id: MemberId;
  get term(): number;
  get role(): Role;
  get leader(): MemberId | null;
  get commitIndex(): number;
  get lastIndex(): number;
  get firstIndex(): number;
  get confState(): ConfState;
  /** Highest index known durable here. */
  get durableIndex(): number;
  /** Handles one message from a peer. Never throws on what a peer may legally send, however late or often. */
  step(message: Message): void;
  tick(): void;
  propose(data: Uint8Array): ProposeResult;
  proposeConfChange(change: ConfChange): ProposeResult;
  /** Asks for a linearizable read point; the outcome comes as a ReadState with this id, exactly once. */
  readIndex(requestId: number): void;
  /** Starts handing leadership to a voter; false when impossible (not leader, unknown, learner, itself). */
  transferLeadership(to: MemberId): boolean;
  /** Campaigns now if it may (operator's wish, tests). */
  campaign(): void;
  hasReady(): boolean;
  ready(): Ready;
  /** All Readies up to and including this one are durable. */
  appended(ready: Ready): void;
  /** The state machine has applied everything up to `index`. */
  applied(index: number): void;
  /** Forgets entries up to `snapshot.index`, which the state machine now holds durably. */
  compact(snapshot: SnapshotMeta): void;
  /** The transport could not deliver to this peer: go back to probing it. */
  reportUnreachable(memberId: MemberId): void;
  /** How the transfer of a snapshot to this peer ended. */
  reportSnapshot(memberId: MemberId, delivered: boolean): void;
}
