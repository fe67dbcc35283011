import type { MemberId, Message } from '../../raft/index.ts';
import type { Transport, TransportHandlers } from '../../transport/index.ts';
import { type Bug, everyNth } from './bug.ts';

/** Mistakes in what members tell each other. */
export const MESSAGE_BUGS: readonly Bug[] = [
  {
    name: 'a member votes for whoever asks',
    planted: { transport: (transport) => sending(transport, grantingAll) },
  },
  {
    name: 'a follower confirms more than it has',
    planted: { transport: (transport) => sending(transport, confirmingMore) },
  },
  {
    name: 'candidates are never heard',
    planted: { transport: (transport) => sending(transport, without('preVote')) },
  },
  {
    name: 'votes never arrive',
    planted: { transport: (transport) => sending(transport, without('requestVoteReply')) },
  },
  {
    name: 'a follower does not say that its log does not match',
    planted: { transport: (transport) => sending(transport, hidingRejections) },
  },
  {
    name: 'a follower accepts what does not match',
    planted: { transport: (transport) => sending(transport, acceptingAll) },
  },
  {
    name: 'an entry is damaged on its way',
    planted: { handlers: (handlers) => hearing(handlers, damaging()) },
  },
  {
    name: 'confirmations are booked for another member',
    planted: { handlers: (handlers) => hearing(handlers, misattributing) },
    run: { members: 5 },
  },
  {
    name: 'a vote that comes twice counts twice',
    planted: { handlers: countingTwice },
    run: { members: 5 },
  },
];

type Change = (message: Message) => Message | null;

function sending(transport: Transport, change: Change): Transport {
  return {
    address: transport.address,
    send: (messages) => transport.send(messages.map(change).filter((message) => message !== null)),
    sendBulk: (message) => transport.sendBulk(message),
    peerInfo: (memberId) => transport.peerInfo(memberId),
    connectedPeers: () => transport.connectedPeers(),
    setPeers: (peers) => transport.setPeers(peers),
    close: () => transport.close(),
  };
}

function hearing(handlers: TransportHandlers, change: Change): TransportHandlers {
  return {
    onMessage(message) {
      const changed = change(message);
      if (changed !== null) handlers.onMessage(changed);
    },
    onBulk: (message) => handlers.onBulk(message),
    onUnreachable: (memberId) => handlers.onUnreachable(memberId),
  };
}

function without(type: Message['type']): Change {
  return (message) => (message.type === type ? null : message);
}

function grantingAll(message: Message): Message {
  return message.type === 'requestVoteReply' ? { ...message, granted: true } : message;
}

function confirmingMore(message: Message): Message {
  if (message.type !== 'appendEntriesReply' || !message.accepted) return message;
  return { ...message, matchIndex: message.matchIndex + 1 };
}

function hidingRejections(message: Message): Message | null {
  return message.type === 'appendEntriesReply' && !message.accepted ? null : message;
}

function acceptingAll(message: Message): Message {
  if (message.type !== 'appendEntriesReply' || message.accepted) return message;
  const { type, from, to, term, prevLogIndex } = message;
  return { type, from, to, term, accepted: true, matchIndex: prevLogIndex };
}

function damaging(): Change {
  const isDue = everyNth(30);
  return (message) => {
    if (message.type !== 'appendEntries' || message.entries.length === 0 || !isDue()) {
      return message;
    }
    const entries = message.entries.map((entry) => {
      if (entry.kind !== 'command') return entry;
      const data = entry.data.slice();
      data[data.length - 1] = (data.at(-1) ?? 0) ^ 1;
      return { ...entry, data };
    });
    return { ...message, entries };
  };
}

/** Seems to come from its sender's neighbour. */
function misattributing(message: Message): Message {
  if (message.type !== 'appendEntriesReply') return message;
  return { ...message, from: neighbour(message) };
}

/** Somebody who is neither sender nor receiver. Members of a run are numbered from 1. */
function neighbour({ from, to }: Message): MemberId {
  let next = (from % 5n) + 1n;
  if (next === to) next = (next % 5n) + 1n;
  return next;
}

function countingTwice(handlers: TransportHandlers): TransportHandlers {
  return {
    onMessage(message) {
      handlers.onMessage(message);
      const isVote = message.type === 'requestVoteReply' || message.type === 'preVoteReply';
      if (isVote) handlers.onMessage({ ...message, from: neighbour(message) });
    },
    onBulk: (message) => handlers.onBulk(message),
    onUnreachable: (memberId) => handlers.onUnreachable(memberId),
  };
}
