import { type Message, Raft, type ReadState, type Ready } from '../../raft/index.ts';
import { type Bug, replacing, together } from './bug.ts';

/** Mistakes of the consensus core and of who drives it. */
export const RAFT_BUGS: readonly Bug[] = [
  {
    name: 'promises are sent before they are on disk',
    planted: { substitute: () => changingReady(sendingEarly) },
  },
  {
    name: 'the vote is not persisted',
    planted: { substitute: () => changingReady(forgettingVote) },
  },
  {
    name: 'the term is persisted with the next entry only',
    planted: { substitute: () => changingReady(forgettingTerm) },
  },
  {
    name: 'entries that were overwritten stay on disk',
    planted: { substitute: () => changingReady(keepingConflicts()) },
    run: { members: 3, faults: ['isolate', 'partial', 'kill', 'pause'] },
  },
  {
    name: 'a refused vote counts',
    planted: { substitute: () => changingStep(countingRefusals) },
  },
  {
    name: 'votes go to candidates whose log is behind',
    planted: { substitute: () => changingStep(praisingCandidates) },
    run: { members: 3, faults: ['isolate', 'partial', 'kill', 'powerCut'] },
  },
  {
    name: 'answers of an earlier term count',
    planted: { substitute: () => changingStep(countingOldAnswers) },
    run: { members: 3, faults: ['lateVotes', 'kill', 'pause'] },
  },
  {
    name: 'entries of a deposed leader are accepted',
    planted: { substitute: () => changingStep(obeyingDeposed) },
    run: { members: 3, faults: ['pause', 'slowLink', 'clog', 'isolate'] },
  },
  {
    name: 'a heartbeat commits what does not match',
    planted: { substitute: committingByHeartbeat },
    run: { members: 3, faults: ['isolate', 'partial', 'kill', 'pause'] },
  },
  {
    name: 'an append commits what lies behind it',
    planted: { substitute: committingBehindAppend },
    run: { members: 3, faults: ['isolate', 'partial', 'slowLink', 'pause'] },
  },
  {
    name: 'an entry counts as committed as soon as it is sent',
    planted: { substitute: () => changingReady(committingWhatIsSent) },
  },
  {
    name: 'a leader answers reads without a round',
    planted: { substitute: () => answeringReads((raft) => raft.role === 'leader') },
    run: { members: 3, faults: ['pause', 'isolate', 'oneWay', 'breakClients', 'restartClerk'] },
  },
  {
    name: 'a follower answers reads from its own commit index',
    planted: { substitute: () => answeringReads((raft) => raft.role === 'follower') },
  },
  {
    name: 'a leader answers reads before the first commit of its term',
    planted: { substitute: answeringBeforeFirstCommit },
    run: { members: 3, faults: ['powerCutOfAll', 'kill', 'slowLink', 'breakClients'] },
  },
  {
    name: 'a read is served before the state machine has come to its index',
    planted: { substitute: () => changingReady(servingUnapplied()) },
    run: { members: 5, faults: ['slowLink', 'clog', 'stallDisk', 'cutClient', 'breakClients'] },
  },
  {
    name: 'followers do not answer heartbeats',
    planted: { substitute: () => changingStep((_, message) => without(message)) },
  },
];

type ReadyChange = (ready: Ready, raft: Raft) => Ready;

function changingReady(change: ReadyChange): () => void {
  return replacing(
    Raft.prototype,
    'ready',
    (original) =>
      function (this: Raft) {
        return change(original.call(this), this);
      },
  );
}

/** `change` may give a message another form, or take it away. */
function changingStep(change: (raft: Raft, message: Message) => Message | null): () => void {
  return replacing(
    Raft.prototype,
    'step',
    (original) =>
      function (this: Raft, message: Message) {
        const changed = change(this, message);
        if (changed !== null) original.call(this, changed);
      },
  );
}

function sendingEarly(ready: Ready): Ready {
  const messages = [...ready.messages, ...ready.messagesAfterAppend];
  return { ...ready, messages, messagesAfterAppend: [] };
}

function forgettingVote(ready: Ready): Ready {
  const { hardState } = ready;
  return hardState === null ? ready : { ...ready, hardState: { ...hardState, vote: null } };
}

function forgettingTerm(ready: Ready): Ready {
  return ready.entries.length > 0 ? ready : { ...ready, hardState: null, mustSync: false };
}

function keepingConflicts(): ReadyChange {
  const last = new WeakMap<Raft, number>();
  return (ready, raft) => {
    const written = last.get(raft) ?? 0;
    const entries = ready.entries.filter(({ index }) => index > written);
    last.set(raft, entries.at(-1)?.index ?? written);
    return { ...ready, entries };
  };
}

function countingRefusals(_: Raft, message: Message): Message {
  return message.type === 'requestVoteReply' ? { ...message, granted: true } : message;
}

function praisingCandidates(_: Raft, message: Message): Message {
  if (message.type !== 'requestVote' && message.type !== 'preVote') return message;
  return { ...message, lastLogIndex: 2 ** 40, lastLogTerm: message.term - 1 };
}

function countingOldAnswers(raft: Raft, message: Message): Message {
  switch (message.type) {
    case 'requestVoteReply':
    case 'appendEntriesReply':
    case 'heartbeatReply':
      return message.term < raft.term ? { ...message, term: raft.term } : message;
    default:
      return message;
  }
}

function obeyingDeposed(raft: Raft, message: Message): Message {
  const isOld = message.type === 'appendEntries' && message.term < raft.term;
  return isOld && raft.role === 'follower' ? { ...message, term: raft.term } : message;
}

function without(message: Message): Message | null {
  return message.type === 'heartbeatReply' ? null : message;
}

/** As with a leader that sends its own commit index, and a follower that cuts it to its length. */
function committingByHeartbeat(): () => void {
  return together(
    changingReady((ready, raft) => ({
      ...ready,
      messages: ready.messages.map((message) =>
        message.type === 'heartbeat' ? { ...message, commitIndex: raft.commitIndex } : message,
      ),
    })),
    changingStep((raft, message) =>
      message.type === 'heartbeat'
        ? { ...message, commitIndex: Math.min(message.commitIndex, raft.lastIndex) }
        : message,
    ),
  );
}

/** leaderCommit is cut to the log's length and not to what the message has matched. */
function committingBehindAppend(): () => void {
  return replacing(
    Raft.prototype,
    'step',
    (original) =>
      function (this: Raft, message: Message) {
        original.call(this, message);
        if (message.type !== 'appendEntries' || message.term !== this.term) return;
        const { from, to, term, leaderCommit } = message;
        const commitIndex = Math.min(leaderCommit, this.lastIndex);
        original.call(this, { type: 'heartbeat', from, to, term, commitIndex, readAttempt: null });
      },
  );
}

function committingWhatIsSent(ready: Ready): Ready {
  const messages = ready.messages.map((message) =>
    message.type === 'appendEntries'
      ? { ...message, leaderCommit: message.prevLogIndex + message.entries.length }
      : message,
  );
  return { ...ready, messages };
}

/** Reads that `isDue` are confirmed at once, at the commit index. */
function answeringReads(isDue: (raft: Raft) => boolean): () => void {
  const answered = new WeakMap<Raft, ReadState[]>();
  return together(
    replacing(
      Raft.prototype,
      'readIndex',
      (original) =>
        function (this: Raft, requestId: number) {
          if (!isDue(this)) return original.call(this, requestId);
          const state = { requestId, readIndex: this.commitIndex };
          answered.set(this, [...(answered.get(this) ?? []), state]);
        },
    ),
    replacing(
      Raft.prototype,
      'hasReady',
      (original) =>
        function (this: Raft) {
          return answered.has(this) || original.call(this);
        },
    ),
    changingReady((ready, raft) => {
      const states = answered.get(raft) ?? [];
      answered.delete(raft);
      return { ...ready, readStates: [...ready.readStates, ...states] };
    }),
  );
}

function answeringBeforeFirstCommit(): () => void {
  const committedTerm = new WeakMap<Raft, number>();
  return together(
    changingReady((ready, raft) => {
      const last = ready.committedEntries.at(-1);
      if (last !== undefined) committedTerm.set(raft, last.term);
      return ready;
    }),
    answeringReads((raft) => raft.role === 'leader' && committedTerm.get(raft) !== raft.term),
  );
}

function servingUnapplied(): ReadyChange {
  const applied = new WeakMap<Raft, number>();
  return (ready, raft) => {
    const before = applied.get(raft) ?? 0;
    applied.set(raft, ready.committedEntries.at(-1)?.index ?? before);
    const readStates = ready.readStates.map(({ requestId, readIndex }) => ({
      requestId,
      readIndex: readIndex === null ? null : Math.min(readIndex, before),
    }));
    return { ...ready, readStates };
  };
}
