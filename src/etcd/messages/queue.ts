import { bytes, id, int, type MessageOf, MessageType, message } from '../codec.ts';
import { KEY_VALUE, RESPONSE_HEADER } from './common.ts';

/* The messages of v3lockpb.Lock and v3electionpb.Election. */

export const LOCK_REQUEST = new MessageType('LockRequest', { name: bytes(1), lease: id(2) });

export const LOCK_RESPONSE = new MessageType('LockResponse', {
  header: message(1, () => RESPONSE_HEADER),
  key: bytes(2),
});

export const UNLOCK_REQUEST = new MessageType('UnlockRequest', { key: bytes(1) });

/** What a leader shows to do something as the leader. */
export const LEADER_KEY = new MessageType('LeaderKey', {
  name: bytes(1),
  key: bytes(2),
  /** Revision that created the key: grows from leader to leader, so it fences. */
  rev: int(3),
  lease: id(4),
});
export type LeaderKey = MessageOf<typeof LEADER_KEY>;

export const CAMPAIGN_REQUEST = new MessageType('CampaignRequest', {
  name: bytes(1),
  lease: id(2),
  value: bytes(3),
});

export const CAMPAIGN_RESPONSE = new MessageType('CampaignResponse', {
  header: message(1, () => RESPONSE_HEADER),
  leader: message(2, () => LEADER_KEY),
});

export const PROCLAIM_REQUEST = new MessageType('ProclaimRequest', {
  leader: message(1, () => LEADER_KEY),
  value: bytes(2),
});

export const LEADER_REQUEST = new MessageType('LeaderRequest', { name: bytes(1) });

export const LEADER_RESPONSE = new MessageType('LeaderResponse', {
  header: message(1, () => RESPONSE_HEADER),
  kv: message(2, () => KEY_VALUE),
});

export const RESIGN_REQUEST = new MessageType('ResignRequest', {
  leader: message(1, () => LEADER_KEY),
});
