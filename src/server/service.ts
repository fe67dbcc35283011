import {
  type ErrorCode,
  encodeAnswer,
  type KvService,
  type LeaderHint,
  type MemberStatus,
  type Query,
  type Reply,
} from '../api/index.ts';
import type { KvStateMachine } from '../kv/index.ts';
import { unreachable } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import type { Refusal, Replica } from '../replica/index.ts';

/** What the service stands on. */
export interface ServiceParts {
  readonly replica: Replica;
  readonly machine: KvStateMachine;
  /** How clients reach the leader. */
  readonly hintOf: (leader: MemberId) => LeaderHint;
  readonly status: () => MemberStatus;
}

/**
 * Commands go through the log, linearizable queries behind a read barrier, the rest to local state.
 */
export function createService(parts: ServiceParts): KvService {
  const { replica, machine } = parts;
  const hint = (leader: MemberId | null): LeaderHint | null =>
    leader === null ? null : parts.hintOf(leader);

  return {
    execute(command: Uint8Array, reply: Reply) {
      replica.propose(command, (outcome) => {
        reply(
          outcome.type === 'applied' ? outcome.answer : encodeRefusal(outcome, 'command', hint),
        );
      });
    },
    read(query: Query, reply: Reply) {
      if (query.serializable) return reply(machine.query(query));
      replica.readBarrier((outcome) => {
        reply(
          outcome.type === 'confirmed'
            ? machine.query(query)
            : encodeRefusal(outcome, 'read', hint),
        );
      });
    },
    status: parts.status,
  };
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
      return ['REQUEST_TIMEOUT', 'the command was not decided in time'];
    case 'overloaded':
      return ['OVERLOADED', 'too many requests are waiting'];
    case 'stopped':
      return ['STOPPING', 'this member is stopping'];
    default:
      unreachable(refusal);
  }
}
