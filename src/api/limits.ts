/**
 * Bounds both sides know: the client checks before it takes a seq, the server before it proposes.
 */
export const API_LIMITS = {
  /** Key and value bytes of one command together (etcd: --max-request-bytes). */
  requestBytesMax: 1.5 * 1024 * 1024,
  /** Room for the framing around those bytes in one encoded command. */
  requestOverheadBytesMax: 64 * 1024,
  /** Compares, success and failure operations each, nested ones included (etcd: --max-txn-ops). */
  txnOperationsMax: 128,
  /** Nesting of transactions. */
  txnDepthMax: 8,
  /** Bytes of a session's name. */
  sessionNameBytesMax: 256,
  /** Bytes of an OpenSession nonce, exactly. */
  sessionNonceBytes: 16,
  /** Bytes of one message on the Execute stream (many requests or answers, coalesced). */
  streamMessageBytesMax: 16 * 1024 * 1024,
  /** Requests in one message on the Execute stream. */
  streamMessageRequestsMax: 10_000,
} as const;
