import type { Timer } from '../io/index.ts';
import type { EtcdContext } from './context.ts';

/** Calls `onLost` once when no leader was known for `noLeaderMs`; until it is cancelled. */
export function watchLeader(context: EtcdContext, onLost: () => void): Timer {
  const { clock, limits, member } = context;
  let seenMs = clock.nowMs();
  const look = (): void => {
    const nowMs = clock.nowMs();
    if (member.hasLeader) seenMs = nowMs;
    if (nowMs - seenMs >= limits.noLeaderMs) onLost();
    else timer = clock.setTimer(limits.leaderLookMs, look);
  };
  let timer = clock.setTimer(limits.leaderLookMs, look);
  return { cancel: () => timer.cancel() };
}
