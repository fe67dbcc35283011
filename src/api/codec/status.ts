import { ProtoReader } from '../../lib/index.ts';
import type { LeaderHint } from '../command.ts';
import type { MemberStatus } from '../service.ts';
import { readLeaderHint, writeLeaderHint } from './answer.ts';
import { MESSAGE_DEPTH_MAX, writeMessage } from './writing.ts';

const ROLES = ['follower', 'preCandidate', 'candidate', 'leader'] as const;

export function encodeStatus(status: MemberStatus): Uint8Array {
  return writeMessage((writer) => {
    writer.fixed64(1, status.clusterId);
    writer.fixed64(2, status.memberId);
    writer.string(3, status.name);
    writer.string(4, status.version);
    writer.uint(5, ROLES.indexOf(status.role));
    if (status.leader !== null) writeLeaderHint(writer, 6, status.leader);
    writer.uint(7, status.term);
    writer.uint(8, status.commitIndex);
    writer.uint(9, status.appliedIndex);
    writer.uint(10, status.revision);
    writer.string(11, status.stateHash);
    writer.uint(12, status.sessions);
    writer.uint(13, status.logBytes);
  });
}

/** @throws DecodeError on bytes that are not a StatusResult. */
export function decodeStatus(bytes: Uint8Array): MemberStatus {
  const reader = new ProtoReader(bytes, MESSAGE_DEPTH_MAX);
  const texts = { name: '', version: '', stateHash: '' };
  const ids = { clusterId: 0n, memberId: 0n };
  const log = { term: 0, commitIndex: 0, appliedIndex: 0, logBytes: 0 };
  const state = { revision: 0, sessions: 0 };
  let role: MemberStatus['role'] | undefined = 'follower';
  let leader: LeaderHint | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        ids.clusterId = reader.fixed64();
        break;
      case 2:
        ids.memberId = reader.fixed64();
        break;
      case 3:
        texts.name = reader.string();
        break;
      case 4:
        texts.version = reader.string();
        break;
      case 5:
        role = ROLES[reader.uint()];
        if (role === undefined) throw reader.error('unknown role');
        break;
      case 6:
        leader = reader.message(readLeaderHint);
        break;
      case 7:
        log.term = reader.uint();
        break;
      case 8:
        log.commitIndex = reader.uint();
        break;
      case 9:
        log.appliedIndex = reader.uint();
        break;
      case 10:
        state.revision = reader.uint();
        break;
      case 11:
        texts.stateHash = reader.string();
        break;
      case 12:
        state.sessions = reader.uint();
        break;
      case 13:
        log.logBytes = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { ...ids, ...texts, role, leader, ...log, ...state };
}
