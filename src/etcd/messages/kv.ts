import {
  bool,
  bytes,
  id,
  int,
  list,
  type MessageOf,
  MessageType,
  member,
  message,
} from '../codec.ts';
import { KEY_VALUE, RESPONSE_HEADER, type ResponseHeader } from './common.ts';

/* The messages of etcdserverpb.KV. */

export const RANGE_REQUEST = new MessageType('RangeRequest', {
  key: bytes(1),
  range_end: bytes(2),
  limit: int(3),
  revision: int(4),
  /** NONE, ASCEND, DESCEND */
  sort_order: int(5),
  /** KEY, VERSION, CREATE, MOD, VALUE */
  sort_target: int(6),
  serializable: bool(7),
  keys_only: bool(8),
  count_only: bool(9),
  min_mod_revision: int(10),
  max_mod_revision: int(11),
  min_create_revision: int(12),
  max_create_revision: int(13),
});
export type RangeRequest = MessageOf<typeof RANGE_REQUEST>;

export const RANGE_RESPONSE = new MessageType('RangeResponse', {
  header: message(1, () => RESPONSE_HEADER),
  kvs: list(message(2, () => KEY_VALUE)),
  more: bool(3),
  count: int(4),
});
export type RangeResponse = MessageOf<typeof RANGE_RESPONSE>;

export const PUT_REQUEST = new MessageType('PutRequest', {
  key: bytes(1),
  value: bytes(2),
  lease: id(3),
  prev_kv: bool(4),
  ignore_value: bool(5),
  ignore_lease: bool(6),
});
export type PutRequest = MessageOf<typeof PUT_REQUEST>;

export const PUT_RESPONSE = new MessageType('PutResponse', {
  header: message(1, () => RESPONSE_HEADER),
  prev_kv: message(2, () => KEY_VALUE),
});
export type PutResponse = MessageOf<typeof PUT_RESPONSE>;

export const DELETE_RANGE_REQUEST = new MessageType('DeleteRangeRequest', {
  key: bytes(1),
  range_end: bytes(2),
  prev_kv: bool(3),
});
export type DeleteRangeRequest = MessageOf<typeof DELETE_RANGE_REQUEST>;

export const DELETE_RANGE_RESPONSE = new MessageType('DeleteRangeResponse', {
  header: message(1, () => RESPONSE_HEADER),
  deleted: int(2),
  prev_kvs: list(message(3, () => KEY_VALUE)),
});
export type DeleteRangeResponse = MessageOf<typeof DELETE_RANGE_RESPONSE>;

export const COMPARE = new MessageType('Compare', {
  /** EQUAL, GREATER, LESS, NOT_EQUAL */
  result: int(1),
  /** VERSION, CREATE, MOD, VALUE, LEASE */
  target: int(2),
  key: bytes(3),
  version: member(int(4)),
  create_revision: member(int(5)),
  mod_revision: member(int(6)),
  value: member(bytes(7)),
  lease: member(id(8)),
  range_end: bytes(64),
});
export type CompareMessage = MessageOf<typeof COMPARE>;

export interface TxnRequest {
  readonly compare: readonly CompareMessage[];
  readonly success: readonly RequestOp[];
  readonly failure: readonly RequestOp[];
}

/** One of its fields is there. */
export interface RequestOp {
  readonly request_range: RangeRequest | null;
  readonly request_put: PutRequest | null;
  readonly request_delete_range: DeleteRangeRequest | null;
  readonly request_txn: TxnRequest | null;
}

export const TXN_REQUEST: MessageType<TxnRequest> = new MessageType<TxnRequest>('TxnRequest', {
  compare: list(message(1, () => COMPARE)),
  success: list(message<RequestOp>(2, () => REQUEST_OP)),
  failure: list(message<RequestOp>(3, () => REQUEST_OP)),
});

export const REQUEST_OP: MessageType<RequestOp> = new MessageType<RequestOp>('RequestOp', {
  request_range: message(1, () => RANGE_REQUEST),
  request_put: message(2, () => PUT_REQUEST),
  request_delete_range: message(3, () => DELETE_RANGE_REQUEST),
  request_txn: message(4, () => TXN_REQUEST),
});

export interface TxnResponse {
  readonly header: ResponseHeader | null;
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
}

/** One of its fields is there. */
export interface ResponseOp {
  readonly response_range: RangeResponse | null;
  readonly response_put: PutResponse | null;
  readonly response_delete_range: DeleteRangeResponse | null;
  readonly response_txn: TxnResponse | null;
}

export const TXN_RESPONSE: MessageType<TxnResponse> = new MessageType<TxnResponse>('TxnResponse', {
  header: message(1, () => RESPONSE_HEADER),
  succeeded: bool(2),
  responses: list(message<ResponseOp>(3, () => RESPONSE_OP)),
});

export const RESPONSE_OP: MessageType<ResponseOp> = new MessageType<ResponseOp>('ResponseOp', {
  response_range: message(1, () => RANGE_RESPONSE),
  response_put: message(2, () => PUT_RESPONSE),
  response_delete_range: message(3, () => DELETE_RANGE_RESPONSE),
  response_txn: message(4, () => TXN_RESPONSE),
});

export const COMPACTION_REQUEST = new MessageType('CompactionRequest', {
  revision: int(1),
  /** Answer when what was compacted is gone from the store. */
  physical: bool(2),
});
