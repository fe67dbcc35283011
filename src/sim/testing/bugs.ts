/**
 * Mistakes that real systems have made, as wrappers around what the production code stands on. The
 * simulator must find each of them.
 */
import {
  decodeAnswer,
  decodeCommand,
  type ExecuteRequest,
  encodeAnswer,
  encodeCommand,
  type KvService,
} from '../../api/index.ts';
import type { ChannelFactory } from '../../client/index.ts';
import type { Clock, Disk, DiskFile } from '../../io/index.ts';
import type { Message } from '../../raft/index.ts';
import type { Transport } from '../../transport/index.ts';
import type { Planted } from '../planted.ts';
import type { Device } from '../sim-disk.ts';

/** A bug with a name, and the promises by which it may be noticed. */
export interface Bug {
  readonly name: string;
  readonly planted: Planted;
  readonly breaks: readonly string[];
}

const BLOCK_BYTES = 4096;
/** Ids that no clerk gives to its requests. */
const FOREIGN_ID = 2 ** 40;

export const BUGS: readonly Bug[] = [
  {
    name: 'the log reports a batch before it is synced',
    planted: { disk: (disk, clock) => withFiles(disk, (file) => reportingEarly(file, clock)) },
    breaks: ['promises leave after the disk', 'applied is durable here'],
  },
  {
    name: 'a failed write is taken for a good one',
    planted: { disk: (disk) => withFiles(disk, ignoringErrors) },
    breaks: [
      'promises leave after the disk',
      'applied is durable here',
      'log without gaps',
      'members stop only for their disk',
      'committed is durable on a majority',
    ],
  },
  {
    name: 'a disk loses what was synced',
    planted: { restart: forgetLastBlock },
    breaks: ['durable data stays', 'one vote per term', 'the durable term grows'],
  },
  {
    name: 'a member votes for whoever asks',
    planted: { transport: (transport) => changing(transport, grantingAll) },
    breaks: ['promises leave after the disk'],
  },
  {
    name: 'a follower confirms more than it has',
    planted: { transport: (transport) => changing(transport, confirmingMore) },
    breaks: ['promises leave after the disk'],
  },
  {
    name: 'candidates are never heard',
    planted: { transport: (transport) => changing(transport, hidingCandidates) },
    breaks: ['a majority elects a leader'],
  },
  {
    name: 'a retried command runs again',
    planted: { service: forgettingSessions },
    breaks: ['appends exactly once', 'linearizable', 'transactions are atomic'],
  },
  {
    name: 'a write is acknowledged and never proposed',
    planted: { service: answeringUnheard },
    breaks: ['acknowledged is committed'],
  },
  {
    name: 'reads are served without asking the others',
    planted: { service: readingLocally },
    breaks: ['reads are fresh', 'linearizable', 'appends exactly once', 'transactions are atomic'],
  },
  {
    name: 'a client retries under a new number',
    planted: { channels: retryingAnew },
    breaks: ['appends exactly once', 'linearizable'],
  },
];

function withFiles(disk: Disk, wrap: (file: DiskFile) => DiskFile): Disk {
  return {
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (path) => disk.list(path),
    open: async (path, options) => wrap(await disk.open(path, options)),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    lock: (directory) => disk.lock(directory),
  };
}

function writingBy(file: DiskFile, writeDurably: DiskFile['writeDurably']): DiskFile {
  return {
    size: () => file.size(),
    read: (range) => file.read(range),
    write: (offset, parts) => file.write(offset, parts),
    writeDurably,
    sync: () => file.sync(),
    truncate: (length) => file.truncate(length),
    close: () => file.close(),
  };
}

function reportingEarly(file: DiskFile, clock: Clock): DiskFile {
  return writingBy(file, (offset, bytes, done) => {
    // The log uses its buffer again once it was told that it may.
    file.writeDurably(offset, bytes.slice(), () => 'too late to tell anybody');
    clock.defer(() => done(null));
  });
}

function ignoringErrors(file: DiskFile): DiskFile {
  return writingBy(file, (offset, bytes, done) => {
    file.writeDurably(offset, bytes, () => done(null));
  });
}

/** Zeros where the last block was: nothing shows that the log was ever longer. */
function forgetLastBlock(device: Device): void {
  const { image } = device;
  for (const path of image.paths().filter((each) => each.endsWith('.wal'))) {
    const bytes = image.peek(path);
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end--;
    const start = (Math.ceil(end / BLOCK_BYTES) - 2) * BLOCK_BYTES;
    if (start < 3 * BLOCK_BYTES) continue;
    bytes.fill(0, start);
    image.poke(path, bytes);
  }
}

function changing(transport: Transport, change: (message: Message) => Message | null): Transport {
  return {
    address: transport.address,
    send: (messages) => transport.send(messages.map(change).filter((message) => message !== null)),
    peerInfo: (memberId) => transport.peerInfo(memberId),
    connectedPeers: () => transport.connectedPeers(),
    setPeers: (peers) => transport.setPeers(peers),
    close: () => transport.close(),
  };
}

function grantingAll(message: Message): Message {
  return message.type === 'requestVoteReply' ? { ...message, granted: true } : message;
}

function confirmingMore(message: Message): Message {
  if (message.type !== 'appendEntriesReply' || !message.accepted) return message;
  return { ...message, matchIndex: message.matchIndex + 1 };
}

function hidingCandidates(message: Message): Message | null {
  return message.type === 'preVote' ? null : message;
}

/** A command that comes again after it was executed is executed again, outside of its session. */
function forgettingSessions(service: KvService): KvService {
  const seen = new Set<string>();
  return {
    execute(bytes, reply) {
      const command = decodeCommand(bytes);
      if (command.type !== 'operation' || command.session === null) {
        return service.execute(bytes, reply);
      }
      const key = `${command.session.sessionId}:${command.session.seq}`;
      if (seen.has(key))
        return service.execute(encodeCommand({ ...command, session: null }), reply);
      service.execute(bytes, (answer) => {
        if (decodeAnswer(answer).type !== 'error') seen.add(key);
        reply(answer);
      });
    },
    read: (query, reply) => service.read(query, reply),
    status: () => service.status(),
  };
}

function answeringUnheard(service: KvService): KvService {
  let commands = 0;
  return {
    execute(bytes, reply) {
      const command = decodeCommand(bytes);
      const isAppend = command.type === 'operation' && command.operation.type === 'append';
      if (!isAppend || ++commands % 20 !== 0) return service.execute(bytes, reply);
      reply(encodeAnswer({ type: 'append', revision: 2, valueBytes: 1 }));
    },
    read: (query, reply) => service.read(query, reply),
    status: () => service.status(),
  };
}

function readingLocally(service: KvService): KvService {
  return {
    execute: (command, reply) => service.execute(command, reply),
    read: ({ query }, reply) => service.read({ query, serializable: true }, reply),
    status: () => service.status(),
  };
}

/** What was under way when a connection ended is sent again on the next one, without its number. */
function retryingAnew(channels: ChannelFactory): ChannelFactory {
  const lost: ExecuteRequest[] = [];
  return {
    status: (endpoint, done) => channels.status(endpoint, done),
    open(endpoint, handlers) {
      const underWay = new Map<number, ExecuteRequest>();
      const lose = (): void => {
        for (const request of underWay.values()) {
          if (request.body.type !== 'command') continue;
          const command = decodeCommand(request.body.command);
          if (command.type !== 'operation') continue;
          const bytes = encodeCommand({ ...command, session: null });
          lost.push({ id: FOREIGN_ID + lost.length, body: { type: 'command', command: bytes } });
        }
        underWay.clear();
      };
      const channel = channels.open(endpoint, {
        onHello(hello) {
          handlers.onHello(hello);
          if (lost.length > 0) channel.send(lost.splice(0));
        },
        onReplies(replies) {
          for (const { id } of replies) underWay.delete(id);
          handlers.onReplies(replies);
        },
        onClose(error) {
          lose();
          handlers.onClose(error);
        },
      });
      return {
        send(requests) {
          for (const request of requests) underWay.set(request.id, request);
          channel.send(requests);
        },
        close() {
          lose();
          channel.close();
        },
      };
    },
  };
}
