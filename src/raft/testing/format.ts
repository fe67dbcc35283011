import { unreachable } from '../../lib/index.ts';
import type { ConfChange, ConfState, Entry, MemberChange, MemberId, Message } from '../index.ts';
import type { ClusterEvent } from './cluster.ts';
import type { Member, Observation } from './member.ts';

/*
 * Raft in words. `4@2` is the position with index 4 and term 2.
 */

const ENTRIES_SHOWN_MAX = 6;

export function showMessage(message: Message): string {
  return `${showRoute(message)} term=${message.term}${body(message)}`;
}

export function showRoute({ from, to, type }: Message): string {
  return `${from}->${to} ${type}`;
}

function body(message: Message): string {
  switch (message.type) {
    case 'requestVote':
      return `${last(message)}${message.leadershipTransfer ? ' for a transfer' : ''}`;
    case 'preVote':
      return last(message);
    case 'requestVoteReply':
    case 'preVoteReply':
      return message.granted ? ' granted' : ' refused';
    case 'appendEntries': {
      const { prevLogIndex, prevLogTerm, leaderCommit, entries } = message;
      const prev = ` prev=${prevLogIndex}@${prevLogTerm}`;
      return `${prev} commit=${leaderCommit} [${showEntries(entries)}]`;
    }
    case 'appendEntriesReply':
      if (message.accepted) return ` match=${message.matchIndex}`;
      return ` no match at ${message.prevLogIndex}, try ${message.hintIndex}@${message.hintTerm}`;
    case 'heartbeat':
      return ` commit=${message.commitIndex}${attempt(message.readAttempt)}`;
    case 'heartbeatReply':
      return attempt(message.readAttempt);
    case 'installSnapshot':
      return ` ${message.snapshot.index}@${message.snapshot.term}`;
    case 'installSnapshotReply':
      return ` match=${message.matchIndex}`;
    case 'timeoutNow':
      return '';
    case 'readIndex':
      return ` request=${short(message.requestId)}`;
    case 'readIndexReply':
      return ` request=${short(message.requestId)} index=${message.readIndex ?? 'refused'}`;
    default:
      unreachable(message);
  }
}

function last(message: { lastLogIndex: number; lastLogTerm: number }): string {
  return ` last=${message.lastLogIndex}@${message.lastLogTerm}`;
}

function attempt(readAttempt: number | null): string {
  return readAttempt === null ? '' : ` attempt=${short(readAttempt)}`;
}

/** A read round without the random number of its incarnation, which stands in the high bits. */
function short(round: number): number {
  return round % 2 ** 20;
}

export function showEntry(entry: Entry): string {
  const at = `${entry.index}@${entry.term}`;
  switch (entry.kind) {
    case 'command':
      return `${at} ${new TextDecoder().decode(entry.data)}`;
    case 'empty':
      return `${at} (empty)`;
    case 'confChange':
      return `${at} (${showConfChange(entry.change)})`;
    default:
      unreachable(entry);
  }
}

export function showEntries(entries: readonly Entry[]): string {
  if (entries.length <= ENTRIES_SHOWN_MAX) return entries.map(showEntry).join(', ');
  const [first, final] = [entries.at(0), entries.at(-1)].map((each) => each && showEntry(each));
  return `${first} … ${final} (${entries.length} entries)`;
}

const SIGNS = { addVoter: '+', addLearner: '~', remove: '-' } as const;

export function showConfChange(change: ConfChange): string {
  const one = ({ action, memberId }: MemberChange): string => `${SIGNS[action]}${memberId}`;
  switch (change.type) {
    case 'simple':
      return one(change.change);
    case 'enterJoint':
      return `joint ${change.changes.map(one).join(' ')}${change.autoLeave ? '' : ' manual'}`;
    case 'leaveJoint':
      return 'leave joint';
    default:
      unreachable(change);
  }
}

/** `1,2,4`, or `1,2,4 & 1,2,3` while joint; learners `~5`; `~3 next` is one after leaving. */
export function showConf(conf: ConfState): string {
  const list = (ids: readonly MemberId[]): string => ids.join(',');
  const joint = conf.outgoingVoters.length > 0 ? ` & ${list(conf.outgoingVoters)}` : '';
  const learners = conf.learners.map((id) => ` ~${id}`).join('');
  const next = conf.learnersNext.map((id) => ` ~${id} next`).join('');
  return `${list(conf.voters)}${joint}${learners}${next}`;
}

/** Lines for one event; none when there is nothing to say. */
export function showEvent(event: ClusterEvent): string[] {
  switch (event.type) {
    case 'delivered':
      return [`${showRoute(event.message)} arrives`];
    case 'lost':
      return [`${showRoute(event.message)} is lost`];
    case 'member':
      return showObservation(event.member, event.observation);
    default:
      unreachable(event);
  }
}

function showObservation(member: Member, observation: Observation): string[] {
  const { id } = member;
  switch (observation.type) {
    case 'ready':
      return showReady(member, observation.ready);
    case 'sent':
      return [`${showMessage(observation.message)}`];
    case 'applied':
      return [`${id} applies ${showEntry(observation.entry)}`];
    case 'read': {
      const { requestId, readIndex } = observation.state;
      return [`${id} read ${requestId} ${readIndex === null ? 'is refused' : `at ${readIndex}`}`];
    }
    case 'synced':
      return member.diskIsSlow && observation.ready.mustSync ? [`${id} disk is done`] : [];
    default:
      unreachable(observation);
  }
}

function showReady(
  { id, raft, pending, disk }: Member,
  ready: Extract<Observation, { type: 'ready' }>['ready'],
): string[] {
  const lines: string[] = [];
  if (ready.softState !== null) {
    const { role, leader } = ready.softState;
    const of = leader !== null && leader !== id ? ` of ${leader}` : '';
    lines.push(`${id} is ${role}${of} in term ${raft.term}`);
  }
  const earlier = pending.slice(0, -1).findLast((each) => each.hardState !== null)?.hardState;
  const before = earlier ?? disk.written ?? { term: 0, vote: null, commitIndex: 0 };
  const after = ready.hardState ?? before;
  const written: string[] = [];
  if (after.term !== before.term || after.vote !== before.vote) {
    written.push(`term=${after.term} vote=${after.vote ?? 'none'}`);
  }
  if (ready.snapshot !== null)
    written.push(`snapshot ${ready.snapshot.index}@${ready.snapshot.term}`);
  if (ready.entries.length > 0) written.push(`[${showEntries(ready.entries)}]`);
  if (written.length > 0) lines.push(`${id} writes ${written.join(' ')}`);
  if (after.commitIndex !== before.commitIndex) lines.push(`${id} commits ${after.commitIndex}`);
  return lines;
}

/** One line: role, term, vote on disk, indices, configuration. */
export function showStatus(member: Member): string {
  if (!member.isUp) return `${member.id} is down`;
  const { id, raft, disk, applied } = member;
  const vote = disk.hardState?.vote ?? 'none';
  const of = raft.leader !== null && raft.leader !== id ? ` of ${raft.leader}` : '';
  const log = `log=${raft.firstIndex}..${raft.lastIndex}`;
  const state = `term=${raft.term} vote=${vote} commit=${raft.commitIndex} applied=${applied}`;
  return `${id} ${raft.role}${of} ${state} ${log} voters=${showConf(raft.confState)}`;
}
