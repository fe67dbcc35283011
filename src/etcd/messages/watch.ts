import { bool, bytes, int, list, type MessageOf, MessageType, message, string } from '../codec.ts';
import { EVENT, RESPONSE_HEADER } from './common.ts';

/* The messages of etcdserverpb.Watch. */

export const FILTER = { NOPUT: 0, NODELETE: 1 } as const;

export const WATCH_CREATE_REQUEST = new MessageType('WatchCreateRequest', {
  key: bytes(1),
  range_end: bytes(2),
  start_revision: int(3),
  progress_notify: bool(4),
  filters: list(int(5)),
  prev_kv: bool(6),
  watch_id: int(7),
  fragment: bool(8),
});
export type WatchCreateRequest = MessageOf<typeof WATCH_CREATE_REQUEST>;

const WATCH_CANCEL_REQUEST = new MessageType('WatchCancelRequest', { watch_id: int(1) });
const WATCH_PROGRESS_REQUEST = new MessageType<object>('WatchProgressRequest', {});

/** One of its fields is there. */
export const WATCH_REQUEST = new MessageType('WatchRequest', {
  create_request: message(1, () => WATCH_CREATE_REQUEST),
  cancel_request: message(2, () => WATCH_CANCEL_REQUEST),
  progress_request: message(3, () => WATCH_PROGRESS_REQUEST),
});

export const WATCH_RESPONSE = new MessageType('WatchResponse', {
  header: message(1, () => RESPONSE_HEADER),
  watch_id: int(2),
  created: bool(3),
  canceled: bool(4),
  compact_revision: int(5),
  cancel_reason: string(6),
  fragment: bool(7),
  events: list(message(11, () => EVENT)),
});
export type WatchResponse = MessageOf<typeof WATCH_RESPONSE>;
