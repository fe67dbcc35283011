/** Every bound of the client in one place. Times are milliseconds of the monotonic clock. */
export const CLERK_LIMITS = {
  /** How long a call waits for its answer unless it says otherwise. */
  requestTimeoutMs: 5_000,
  /** Largest timeout a timer can carry. */
  timeoutMsMax: 2 ** 31 - 1,
  /** Idle life asked for an anonymous session: it is forgotten soon after its clerk. */
  anonymousTtlMs: 5 * 60_000,
  /** Idle life asked for a named session: it must outlive a restart of its application. */
  namedTtlMs: 24 * 60 * 60_000,

  /** Commands with a seq and without an answer; the server keeps at least so many answers. */
  windowRequestsMax: 4_096,
  /** Bytes of keys and values in that window; one command always fits. */
  windowBytesMax: 8 * 1024 * 1024,
  /** Commands waiting for room in the window. */
  queueRequestsMax: 16_384,
  queueBytesMax: 64 * 1024 * 1024,
  /** Reads sent and not answered. */
  readsInFlightMax: 1_024,
  /** Watches that wait for news at a member. */
  pollsInFlightMax: 8_192,
  /** Reads waiting to be sent; the same for watches. */
  readsQueueMax: 16_384,
  /** A watch without news asks again so often, which also says how far it is. */
  watchWaitMs: 5_000,
  /** A held lease is kept alive so many times in its life: it survives the loss of all but one. */
  keepAlivesPerLife: 3,
  /** Time to live of the lease under a lock or a candidacy unless it says otherwise (as etcd). */
  leaseTtlMs: 60_000,
  /** With seqs given by the caller, so many answers stay unacknowledged for a repetition. */
  explicitSeqKept: 64,
  /** Given-up commands whose end is remembered for `resolve`. */
  endingsKept: 1_024,

  /** Members known at once, those learnt from hints included. */
  endpointsMax: 64,
  /** From opening a channel to its hello; doubles with every third silence in a row. */
  connectTimeoutMs: 500,
  /** Requests in flight and no answer at all: the member is given up; doubles likewise. */
  attemptTimeoutMs: 1_000,
  /** Silences in a row that double the two above, and how often that may happen. */
  silencesPerDoubling: 3,
  patienceDoublingsMax: 2,
  /** Pause before the second try in a row; doubles with each further one. The first has none. */
  backoffFirstMs: 10,
  /** Longest pause while a caller waits: what the client adds to a failover. */
  backoffMaxMs: 150,
  /** Longest pause when only given-up places are left to be filled. */
  backoffIdleMaxMs: 2_000,
  /** Leader hints followed at once before one counts as a failure: members may disagree. */
  hintsInRowMax: 3,
  /** A member that failed is tried after all others for so long. */
  failedRecentlyMs: 1_000,
  /** Best-effort end of an anonymous session when the clerk is closed. */
  closeTimeoutMs: 500,

  /** HTTP/2 PING on a connection, and how long its answer may take. */
  pingIntervalMs: 5_000,
  pingTimeoutMs: 2_000,
  /** Flow-control window offered to the server, bytes. */
  receiveWindowBytes: 16 * 1024 * 1024,
} as const;
