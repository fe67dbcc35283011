import type { Message } from './message.ts';
import type { Entry, HardState, MemberId, Role, SnapshotMeta } from './types.ts';

/** What may be forgotten on a restart; present in a `Ready` when it changed. */
export interface SoftState {
  readonly role: Role;
  /** The leader of the current term as far as known. */
  readonly leader: MemberId | null;
}

/** The outcome of one `readIndex(requestId)`. */
export interface ReadState {
  readonly requestId: number;
  /** Serve the read once `applied` ≥ this; null: leadership could not be confirmed, ask again. */
  readonly readIndex: number | null;
}

/**
 * What the driver must do, in this order where it matters:
 * 1. send `messages` at once (parallel to the disk, thesis §10.2.1);
 * 2. make `snapshot`, `entries` and `hardState` durable, in the order of the Readies;
 * 3. once this Ready and all before it are durable, send `messagesAfterAppend` and call
 *    `raft.appended(ready)` (which may confirm several; the messages of each leave, in order);
 * 4. apply `committedEntries` (all of them already durable here) and call `raft.applied(index)`.
 * The next `Ready` may be taken before step 3 of this one has happened.
 */
export interface Ready {
  /** Counts up by one with every Ready of this incarnation. */
  readonly sequence: number;
  /** Set when role or leader changed. */
  readonly softState: SoftState | null;
  /** Set when term, vote or commitIndex changed. */
  readonly hardState: HardState | null;
  /** True when `messagesAfterAppend` must wait for this write: it is more than a commit index. */
  readonly mustSync: boolean;
  /** To be written; the first may overwrite a conflicting suffix of what was written before. */
  readonly entries: readonly Entry[];
  /** A snapshot to install before anything later; null for none. */
  readonly snapshot: SnapshotMeta | null;
  /** Committed, durable here, not yet handed out; in index order without a gap. */
  readonly committedEntries: readonly Entry[];
  readonly readStates: readonly ReadState[];
  readonly messages: readonly Message[];
  readonly messagesAfterAppend: readonly Message[];
}
