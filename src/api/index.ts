/**
 * The words that both sides share: commands, queries and answers as plain data, their encoding
 * (`proto/quorate/v1/quorate.proto`), the error table, key ranges, limits, and the service a
 * member offers to its doors.
 */
export {
  type ChangeEvent,
  type ChangesPage,
  type ChangesRequest,
  changesRequestOf,
  changesResultOf,
} from './changes.ts';
export * from './codec.ts';
export type * from './command.ts';
export {
  ERRORS,
  type ErrorCode,
  errorCodeOf,
  KvError,
  type Outcome,
  type Retry,
} from './errors.ts';
export {
  isInside,
  isSingleKey,
  type KeyRange,
  keyRange,
  prefixRange,
  rangeEndOf,
  singleKey,
} from './key-range.ts';
export { API_LIMITS } from './limits.ts';
export type {
  ClusterMember,
  KvService,
  MemberStatus,
  Reply,
  StateFeed,
  Withdraw,
} from './service.ts';
export {
  isReadTxn,
  type Refusal,
  validateCommand,
  validateOperation,
  validateQuery,
} from './validate.ts';
