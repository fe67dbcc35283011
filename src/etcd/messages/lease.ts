import { bool, bytes, id, int, list, MessageType, message, string } from '../codec.ts';
import { RESPONSE_HEADER } from './common.ts';

/* The messages of etcdserverpb.Lease. Times are in seconds. */

export const LEASE_GRANT_REQUEST = new MessageType('LeaseGrantRequest', {
  TTL: int(1),
  /** 0: the member chooses one. */
  ID: id(2),
});

export const LEASE_GRANT_RESPONSE = new MessageType('LeaseGrantResponse', {
  header: message(1, () => RESPONSE_HEADER),
  ID: id(2),
  TTL: int(3),
  error: string(4),
});

export const LEASE_ID_REQUEST = new MessageType('LeaseRevokeRequest', { ID: id(1) });

export const LEASE_KEEP_ALIVE_RESPONSE = new MessageType('LeaseKeepAliveResponse', {
  header: message(1, () => RESPONSE_HEADER),
  ID: id(2),
  /** 0: the lease is no more. */
  TTL: int(3),
});

export const LEASE_TIME_TO_LIVE_REQUEST = new MessageType('LeaseTimeToLiveRequest', {
  ID: id(1),
  keys: bool(2),
});

export const LEASE_TIME_TO_LIVE_RESPONSE = new MessageType('LeaseTimeToLiveResponse', {
  header: message(1, () => RESPONSE_HEADER),
  ID: id(2),
  /** -1: the lease is no more. */
  TTL: int(3),
  grantedTTL: int(4),
  keys: list(bytes(5)),
});

const LEASE_STATUS = new MessageType('LeaseStatus', { ID: id(1) });

export const LEASE_LEASES_RESPONSE = new MessageType('LeaseLeasesResponse', {
  header: message(1, () => RESPONSE_HEADER),
  leases: list(message(2, () => LEASE_STATUS)),
});
