import { bytes, id, int, type MessageOf, MessageType, message } from '../codec.ts';

/** Stands at the head of every answer. */
export const RESPONSE_HEADER = new MessageType('ResponseHeader', {
  cluster_id: id(1),
  member_id: id(2),
  /** The store's revision when the request was served. */
  revision: int(3),
  raft_term: int(4),
});
export type ResponseHeader = MessageOf<typeof RESPONSE_HEADER>;

/** mvccpb.KeyValue */
export const KEY_VALUE = new MessageType('KeyValue', {
  key: bytes(1),
  create_revision: int(2),
  mod_revision: int(3),
  version: int(4),
  value: bytes(5),
  lease: id(6),
});
export type KeyValueMessage = MessageOf<typeof KEY_VALUE>;

export const EVENT_TYPE = { PUT: 0, DELETE: 1 } as const;

/** mvccpb.Event */
export const EVENT = new MessageType('Event', {
  type: int(1),
  kv: message(2, () => KEY_VALUE),
  prev_kv: message(3, () => KEY_VALUE),
});
export type EventMessage = MessageOf<typeof EVENT>;

/** Every answer that says nothing else. */
export const HEADER_ONLY = new MessageType('HeaderOnly', {
  header: message(1, () => RESPONSE_HEADER),
});

/** A request without fields. */
export const EMPTY_REQUEST = new MessageType<object>('Empty', {});
