/**
 * Bounds both sides know: the client checks before it takes a seq, the server before it proposes.
 */
export const API_LIMITS = {
  /** Key and value bytes of one command together (etcd: --max-request-bytes). */
  requestBytesMax: 1.5 * 1024 * 1024,
  /**
   * Bytes of one key. Keys stand in the key of a row, and with an id before them in that of
   * another, and LMDB bounds those; nobody's key is that long. (etcd has no limit of its own.)
   */
  keyBytesMax: 1536,
  /** Room for the framing around those bytes in one encoded command. */
  requestOverheadBytesMax: 64 * 1024,
  /** Compares, success and failure operations each, nested ones included (etcd: --max-txn-ops). */
  txnOperationsMax: 128,
  /** Nesting of transactions. */
  txnDepthMax: 8,
  /** Longest time to live of a lease, milliseconds (etcd: 9,000,000,000 s). */
  leaseTtlMsMax: 9_000_000_000_000,
  /** Bytes of a session's name. */
  sessionNameBytesMax: 256,
  /** Bytes of an OpenSession nonce, exactly. */
  sessionNonceBytes: 16,
  /** Changes of the history that one query looks at; a revision is looked at as a whole. */
  changesPerPageMax: 1_000,
  /** Key and value bytes in one page of the history; likewise. */
  changesPageBytesMax: 256 * 1024,
  /** Bytes of one answer with a page in it; a single change may exceed it. */
  changesAnswerBytesMax: 3 * 1024 * 1024,
  /** Longest time that a query for changes may wait for them, milliseconds. */
  changesWaitMsMax: 10_000,
  /** Bytes of one message on the Execute stream (many requests or answers, coalesced). */
  streamMessageBytesMax: 16 * 1024 * 1024,
  /** Requests in one message on the Execute stream. */
  streamMessageRequestsMax: 10_000,
} as const;
