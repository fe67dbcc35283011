import type { MemberId, Message } from '../raft/index.ts';
import type { Harm, Scheduler } from './inject.ts';
import type { SimMember } from './sim-member.ts';
import type { Stage } from './stage.ts';
import type { Stream } from './streams.ts';

/**
 * Votes come too late: what is granted to a candidate is kept back until it asks again, in a later
 * term. Then the old votes arrive, and nobody hears it any more: the others elect somebody in the
 * term in which it counts. A vote of an earlier term must mean nothing (Raft §5.1, §5.2).
 */
export function delayVotes(stage: Stage, scheduler: Scheduler, stream: Stream): Harm | null {
  const { members, peers, plan } = stage;
  const leader = members.find((member) => member.isLeader);
  if (leader === undefined || members.length < 3) return null;
  const { electionTimeoutMs } = plan.timing;
  const silenceMs = electionTimeoutMs * stream.between(3, 8);
  const lastsMs = electionTimeoutMs * stream.between(10, 30);
  const kept: { readonly candidate: MemberId; readonly term: number; send(): void }[] = [];
  const stopKeeping = (): void => {
    peers.keepers.delete(keeps);
    for (const { send } of kept) send();
  };
  const keeps = (message: Message, send: () => void): boolean => {
    if (message.type === 'requestVoteReply' && message.granted) {
      kept.push({ candidate: message.to, term: message.term, send });
      return true;
    }
    if (message.type !== 'requestVote') return false;
    const { from, term } = message;
    if (!kept.some((vote) => vote.candidate === from && vote.term < term)) return false;
    stopKeeping();
    silence(stage, from, (restore) => scheduler.later(silenceMs, restore));
    return false;
  };
  peers.keepers.add(keeps);
  stage.world.after(lastsMs, '', () => peers.keepers.has(keeps) && stopKeeping());
  // Nobody votes while there is a leader.
  silence(stage, leader.id, (restore) => scheduler.later(silenceMs, restore));
  return { what: `${leader.name} is heard no more, votes come an election late`, lastsMs };
}

/** Nobody hears a member until it is restored. */
function silence(
  { members, peers }: Stage,
  id: MemberId,
  restoreLater: (restore: () => void) => void,
): void {
  const others: SimMember[] = members.filter((member) => member.id !== id);
  for (const other of others) peers.cut(id, other.id);
  restoreLater(() => {
    for (const other of others) peers.restore(id, other.id);
  });
}
