import type { GrpcCall } from '../grpc/index.ts';
import type { Timer } from '../io/index.ts';
import { type EtcdContext, NO_LEADER, wantsLeader } from './context.ts';
import { errorOf, etcdError } from './errors.ts';
import { watchLeader } from './leader-watch.ts';

/**
 * Calls `onOver` once when a call that waits has to end: its client is gone or does not wait any
 * longer, the member is closed, or there is no leader and the client wants one. Never before this
 * returns; until it is cancelled.
 */
export function watchCall(
  context: EtcdContext,
  call: GrpcCall,
  onOver: (reason: Error) => void,
): Timer {
  const { clock, limits, member } = context;
  const look = (): void => {
    timer.cancel();
    if (call.signal.aborted) over(CANCELLED);
    else if (member.rows() === null) over(errorOf({ code: 'STOPPING', message: '' }));
    else timer = clock.setTimer(limits.callLookMs, look);
  };
  const cancel = (): void => {
    call.signal.removeEventListener('abort', look);
    timer.cancel();
    leader?.cancel();
  };
  const over = (reason: Error): void => {
    cancel();
    onOver(reason);
  };
  call.signal.addEventListener('abort', look);
  let timer = clock.setTimer(0, look);
  const leader = wantsLeader(call) ? watchLeader(context, () => over(NO_LEADER)) : null;
  return { cancel };
}

/** What a call ends with that nobody waits for any more. */
export const CANCELLED: Error = etcdError('CANCELLED', 'the call was cancelled');
