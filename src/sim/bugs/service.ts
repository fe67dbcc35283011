import {
  decodeAnswer,
  decodeCommand,
  type ExecuteRequest,
  encodeAnswer,
  encodeCommand,
  type IdentifiedAnswer,
  type KvService,
  type SessionRef,
} from '../../api/index.ts';
import type { ChannelFactory } from '../../client/index.ts';
import { type ProposeOutcome, Replica } from '../../replica/index.ts';
import { type Bug, everyNth, replacing } from './bug.ts';

/** Ids that no clerk gives to its requests. */
const FOREIGN_ID = 2 ** 40;
const ACKNOWLEDGED = encodeAnswer({ type: 'append', revision: 2, valueBytes: 1 });

/** Mistakes between the log and the client. */
export const SERVICE_BUGS: readonly Bug[] = [
  {
    name: 'a retried command runs again',
    planted: { service: forgettingSessions },
  },
  {
    name: 'a write is acknowledged and never proposed',
    planted: { service: answeringUnheard },
  },
  {
    name: 'reads are served without asking the others',
    planted: { service: readingLocally },
  },
  {
    name: 'a session is resumed one command too early',
    planted: { service: resumingEarly },
    run: { members: 3, faults: ['restartClerk', 'zombieClerk', 'kill'] },
  },
  {
    name: 'a command is acknowledged although its leader was deposed',
    planted: { substitute: () => changingOutcome(acknowledgingLost) },
    run: { members: 3, faults: ['isolate', 'oneWay', 'pause', 'partial'] },
  },
  {
    name: 'a command whose fate is unknown is reported as not applied',
    planted: { substitute: () => changingOutcome(denyingUnknown) },
    run: { members: 3, faults: ['isolate', 'oneWay', 'stallDisk', 'partial'] },
  },
];

/** Mistakes of a client. */
export const CLIENT_BUGS: readonly Bug[] = [
  {
    name: 'a client retries under a new number',
    planted: { channels: retryingAnew },
  },
  {
    name: 'a client uses a number twice',
    planted: { channels: (channels) => rewriting(channels, usingTwice()) },
  },
  {
    name: 'a client acknowledges answers that it does not have',
    planted: { channels: (channels) => rewriting(channels, acknowledgingAll) },
    run: { members: 3, faults: ['breakClients', 'kill', 'pause'] },
  },
  {
    name: 'a client takes an unknown outcome for success',
    planted: { channels: (channels) => hearing(channels, takingForSuccess) },
    run: { members: 3, faults: ['isolate', 'oneWay', 'pause', 'partial'] },
  },
  {
    name: 'a client gives answers to the wrong calls',
    planted: { channels: (channels) => hearing(channels, swapping) },
  },
];

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

function resumingEarly(service: KvService): KvService {
  return {
    execute: (command, reply) =>
      service.execute(command, (bytes) => {
        const answer = decodeAnswer(bytes);
        if (answer.type !== 'openSession' || answer.lastSeq === 0) return reply(bytes);
        reply(encodeAnswer({ ...answer, lastSeq: answer.lastSeq - 1, lastAnswer: null }));
      }),
    read: (query, reply) => service.read(query, reply),
    status: () => service.status(),
  };
}

function changingOutcome(change: (outcome: ProposeOutcome) => ProposeOutcome): () => void {
  return replacing(
    Replica.prototype,
    'propose',
    (original) =>
      function (this: Replica, command: Uint8Array, done: (outcome: ProposeOutcome) => void) {
        original.call(this, command, (outcome) => done(change(outcome)));
      },
  );
}

function acknowledgingLost(outcome: ProposeOutcome): ProposeOutcome {
  return outcome.type === 'leadershipLost' ? { type: 'applied', answer: ACKNOWLEDGED } : outcome;
}

function denyingUnknown(outcome: ProposeOutcome): ProposeOutcome {
  const isUnknown = outcome.type === 'leadershipLost' || outcome.type === 'timeout';
  return isUnknown ? { type: 'notLeader', leader: null } : outcome;
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

/** Sends commands of sessions under another reference. */
function rewriting(
  channels: ChannelFactory,
  change: (session: SessionRef) => SessionRef,
): ChannelFactory {
  return {
    status: (endpoint, done) => channels.status(endpoint, done),
    open(endpoint, handlers) {
      const channel = channels.open(endpoint, handlers);
      const rewrite = (request: ExecuteRequest): ExecuteRequest => {
        if (request.body.type !== 'command') return request;
        const command = decodeCommand(request.body.command);
        if (command.type !== 'operation' || command.session === null) return request;
        const bytes = encodeCommand({ ...command, session: change(command.session) });
        return { ...request, body: { type: 'command', command: bytes } };
      };
      return {
        send: (requests) => channel.send(requests.map(rewrite)),
        close: () => channel.close(),
      };
    },
  };
}

function usingTwice(): (session: SessionRef) => SessionRef {
  const isDue = everyNth(30);
  return (session) => {
    if (session.seq < 2 || session.ackedSeq >= session.seq - 1 || !isDue()) return session;
    return { ...session, seq: session.seq - 1 };
  };
}

function acknowledgingAll(session: SessionRef): SessionRef {
  return { ...session, ackedSeq: session.seq - 1 };
}

function hearing(
  channels: ChannelFactory,
  change: (replies: readonly IdentifiedAnswer[]) => readonly IdentifiedAnswer[],
): ChannelFactory {
  return {
    status: (endpoint, done) => channels.status(endpoint, done),
    open: (endpoint, handlers) =>
      channels.open(endpoint, {
        onHello: (hello) => handlers.onHello(hello),
        onReplies: (replies) => handlers.onReplies(change(replies)),
        onClose: (error) => handlers.onClose(error),
      }),
  };
}

function takingForSuccess(replies: readonly IdentifiedAnswer[]): readonly IdentifiedAnswer[] {
  return replies.map(({ id, answer }) => {
    const decoded = decodeAnswer(answer);
    const isLost = decoded.type === 'error' && decoded.code === 'LEADERSHIP_LOST';
    return isLost ? { id, answer: ACKNOWLEDGED } : { id, answer };
  });
}

/** The answers of one message, each with the id of its neighbour. */
function swapping(replies: readonly IdentifiedAnswer[]): readonly IdentifiedAnswer[] {
  return replies.map(({ id }, i) => ({
    id,
    answer: (replies[(i + 1) % replies.length] ?? (replies[i] as IdentifiedAnswer)).answer,
  }));
}
