import type { CompactionLimits } from './limits.ts';

/*
 * How long entries live. All of them are in the log on disk until the state machine has them
 * durably; behind that they stay for followers, as far as the bound allows:
 *
 *      first                        flushed            applied      last
 *   ─────┼─────────────────────────────┼──────────────────┼───────────┤
 *        │  may go: the state has them │   must stay      │ must stay │
 *
 *   live log        what happens
 *   > 1             the oldest entries go, down to 3/4, save those that a live follower, or one
 *                   that receives a snapshot, needs next
 *   > 1 1/2         … those too: that follower needs a (further) snapshot
 *   2               nothing more is taken before a flush has made room
 *
 *   (in bounds; a flush begins when 1/4 of a bound was applied since the last one began)
 */
const CUT_TO = 3 / 4;
const SPARED_UP_TO = 3 / 2;
const LIVE_MAX = 2;
const FLUSH_AFTER = 1 / 4;
/** Below this share of the entries a cut is not worth its copying. */
const CUT_WORTH = 1 / 8;

/** What lives, in memory. */
export interface LiveLog {
  /** Index of the oldest entry; lastIndex + 1 when there is none. */
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Size of the entries. */
  readonly logBytes: number;
  /** The lowest index behind which at most `bytesMax` are left. */
  tailAfter(bytesMax: number): number;
}

/** What was applied since the last flush began. */
export interface Unflushed {
  readonly entries: number;
  /** Size of the entries: what a restart would read and apply again. */
  readonly logBytes: number;
  /** What the state machine holds in memory. */
  readonly stateBytes: number;
}

/** True when a flush should begin. */
export function wantsFlush(unflushed: Unflushed, limits: CompactionLimits): boolean {
  if (unflushed.entries === 0) return false;
  return (
    unflushed.stateBytes >= limits.unflushedBytesMax ||
    unflushed.logBytes >= FLUSH_AFTER * limits.bytesMax ||
    unflushed.entries >= FLUSH_AFTER * limits.entriesMax
  );
}

/**
 * The index up to which entries should go now; null: none.
 * `flushedIndex`: the state has everything up to here durably.
 * `neededIndex`: followers have everything up to here and need the rest; null: nobody needs any.
 */
export function cutIndex(
  log: LiveLog,
  { flushedIndex, neededIndex }: { flushedIndex: number; neededIndex: number | null },
  limits: CompactionLimits,
): number | null {
  const { firstIndex, lastIndex, logBytes } = log;
  const entries = lastIndex + 1 - firstIndex;
  const share = Math.max(logBytes / limits.bytesMax, entries / limits.entriesMax);
  if (share <= 1) return null;
  const mustGo = share > SPARED_UP_TO;
  const spared = mustGo ? null : neededIndex;
  const highest = spared === null ? flushedIndex : Math.min(flushedIndex, spared);
  const least = mustGo ? 1 : Math.ceil(entries * CUT_WORTH);
  if (highest - firstIndex + 1 < least) return null;
  const wanted = Math.max(
    log.tailAfter(CUT_TO * limits.bytesMax),
    lastIndex - Math.floor(CUT_TO * limits.entriesMax),
  );
  const index = Math.min(wanted, highest);
  return index < firstIndex ? null : index;
}

/** True when a log of so many bytes could not take `moreBytes` within twice its bound. */
export function isFull(bytes: { log: number; more: number }, limits: CompactionLimits): boolean {
  return bytes.log + bytes.more > LIVE_MAX * limits.bytesMax;
}
