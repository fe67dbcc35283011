import {
  type ErrorCode,
  encodeAnswer,
  type KvService,
  type LeaderHint,
  type MemberStatus,
  type Query,
  type Reply,
  type StateFeed,
  validateQuery,
} from '../api/index.ts';
import type { Clock } from '../io/index.ts';
import type { KvStateMachine } from '../kv/index.ts';
import { unreachable } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import type { Refusal, Replica } from '../replica/index.ts';
import { Followers, type WaitingQuery } from './followers.ts';
import { Forwarder, type ForwarderParts } from './forwarder.ts';

/** What the service stands on. */
export interface ServiceParts {
  readonly replica: Replica;
  /** The machine in force; a snapshot replaces it. */
  readonly machine: () => KvStateMachine;
  /** How clients reach the leader. */
  readonly hintOf: (leader: MemberId) => LeaderHint;
  readonly status: () => MemberStatus;
  /** False once the state is closed. */
  readonly isOpen: () => boolean;
  /** True for a command that has to wait until there is space. */
  readonly isOutOfSpace: (command: Uint8Array) => boolean;
  /** Told of every command that was not decided here, unless another member leads. */
  readonly onFailed: () => void;
}

const NO_SPACE = encodeAnswer({
  type: 'error',
  code: 'NO_SPACE',
  message: 'database space exceeded: delete keys and compact, or raise --quota-backend-bytes',
  leader: null,
});

const WITHDRAWN = encodeAnswer({
  type: 'error',
  code: 'CANCELLED_NOT_APPLIED',
  message: 'the query was withdrawn',
  leader: null,
});

/** A member's service, until it is closed. */
export interface MemberService extends KvService {
  /** Refuses those who wait for changes; the replica refuses the rest when it is closed. */
  close(): void;
}

/**
 * Commands go through the log, linearizable queries behind a read barrier, the rest to local state;
 * queries that wait for changes are followers of the feed.
 */
export function createService(
  parts: ServiceParts,
  { feed, clock }: { readonly feed: StateFeed; readonly clock: Clock },
): MemberService {
  const { replica, machine } = parts;
  const hint = (leader: MemberId | null): LeaderHint | null =>
    leader === null ? null : parts.hintOf(leader);
  const followers = new Followers({
    feed,
    clock,
    confirm(done) {
      replica.readBarrier((outcome) => {
        done(outcome.type === 'confirmed' ? null : encodeRefusal(outcome, 'read', hint));
      });
    },
    refusals: {
      stopped: encodeRefusal({ type: 'stopped' }, 'read', hint),
      overloaded: encodeRefusal({ type: 'overloaded' }, 'read', hint),
      withdrawn: WITHDRAWN,
    },
  });

  return {
    execute(command: Uint8Array, reply: Reply) {
      if (parts.isOutOfSpace(command)) return reply(NO_SPACE);
      replica.propose(command, (outcome) => {
        if (outcome.type === 'applied') return reply(outcome.answer);
        if (outcome.type !== 'notLeader') parts.onFailed();
        reply(encodeRefusal(outcome, 'command', hint));
      });
    },
    read(query: Query, reply: Reply) {
      if (isWaiting(query)) return followers.follow(query.query, reply);
      const answer = (refusal: Refusal | null): void => {
        reply(
          refusal === null
            ? machine().query(query, replica.logTimeMs())
            : encodeRefusal(refusal, 'read', hint),
        );
      };
      if (query.serializable) answer(parts.isOpen() ? null : { type: 'stopped' });
      else replica.readBarrier((outcome) => answer(outcome.type === 'confirmed' ? null : outcome));
      return undefined;
    },
    status: parts.status,
    close: () => followers.close(),
  };
}

/** One that is not well-formed is refused at once, with the others. */
function isWaiting(query: Query): query is Query & { readonly query: WaitingQuery } {
  const { serializable, query: asked } = query;
  if (serializable || asked.type !== 'changes' || asked.from === null) return false;
  return asked.waitMs > 0 && validateQuery(query) === null;
}

/** What a member needs to pass commands on. */
export type ForwarderPeers = Pick<
  ForwarderParts,
  'memberId' | 'clock' | 'random' | 'requestTimeoutMs' | 'send'
>;

/** The same for clients that know nothing of leaders: served at any member. */
export function createForwarder(parts: ServiceParts, peers: ForwarderPeers): Forwarder {
  const { replica, machine } = parts;
  const hint = (leader: MemberId | null): LeaderHint | null =>
    leader === null ? null : parts.hintOf(leader);
  const encoded = (refusal: Refusal): Uint8Array => encodeRefusal(refusal, 'command', hint);
  return new Forwarder({
    ...peers,
    leadership: () => replica.status(),
    execute(command, done) {
      if (parts.isOutOfSpace(command)) return done(NO_SPACE);
      replica.propose(command, (outcome) => {
        if (outcome.type === 'applied') return done(outcome.answer);
        if (outcome.type === 'notLeader') return done(null);
        parts.onFailed();
        done(encoded(outcome));
      });
    },
    read(query, done) {
      if (query.serializable) {
        return done(
          parts.isOpen()
            ? machine().query(query, replica.logTimeMs())
            : encoded({ type: 'stopped' }),
        );
      }
      replica.readBarrier((outcome) => {
        if (outcome.type === 'confirmed') return done(machine().query(query, replica.logTimeMs()));
        done(outcome.type === 'notLeader' ? null : encoded(outcome));
      });
    },
    refusals: {
      noLeader: encoded({ type: 'notLeader', leader: null }),
      leadershipLost: encoded({ type: 'leadershipLost', leader: null }),
      timeout: encoded({ type: 'timeout' }),
      overloaded: encoded({ type: 'overloaded' }),
      stopped: encoded({ type: 'stopped' }),
    },
  });
}

function encodeRefusal(
  refusal: Refusal,
  what: 'command' | 'read',
  hint: (leader: MemberId | null) => LeaderHint | null,
): Uint8Array {
  const [code, message] = describe(refusal, what);
  const leader = 'leader' in refusal ? hint(refusal.leader) : null;
  return encodeAnswer({ type: 'error', code, message, leader });
}

function describe(refusal: Refusal, what: 'command' | 'read'): readonly [ErrorCode, string] {
  switch (refusal.type) {
    case 'notLeader':
      return what === 'read'
        ? ['READ_UNCONFIRMED', 'no leader confirmed the read']
        : ['NOT_LEADER', 'this member does not lead'];
    case 'leadershipLost':
      return ['LEADERSHIP_LOST', 'leadership was lost before the command was decided'];
    case 'timeout':
      return what === 'read'
        ? ['READ_UNCONFIRMED', 'this member did not catch up in time']
        : ['REQUEST_TIMEOUT', 'the command was not decided in time'];
    case 'overloaded':
      return ['OVERLOADED', 'too many requests are waiting'];
    case 'stopped':
      return ['STOPPING', 'this member is stopping'];
    default:
      unreachable(refusal);
  }
}
