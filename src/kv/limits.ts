import { API_LIMITS } from '../api/index.ts';

/**
 * Bounds of the state machine. They decide answers, so every member must have the same ones: they
 * are part of the replicated contract, and no command line flag. Another value is another version.
 */
export interface KvLimits {
  /**
   * Bytes of one value. As large as a Put can make it, so that whatever can be read can be
   * written back; an Append beyond it is refused with TOO_LARGE and not applied.
   */
  readonly valueBytesMax: number;
  /** Key and value bytes in one answer; beyond it TOO_LARGE, and a command is not applied. */
  readonly answerBytesMax: number;
  /** Sessions at one time; beyond it SESSIONS_FULL. */
  readonly sessionsMax: number;
  /** Answers that one session keeps; when reached, its next command is SESSION_WINDOW_FULL. */
  readonly sessionAnswersMax: number;
  /**
   * Bytes of answers that one session keeps, checked before a command: one answer may exceed it.
   */
  readonly sessionAnswerBytesMax: number;
  /** Nonces of replaced incarnations that a named session remembers. */
  readonly sessionOldNoncesMax: number;
  /** Shortest idle life of a session, milliseconds of log time. */
  readonly sessionTtlMsMin: number;
  /** Longest idle life of a session, milliseconds of log time. */
  readonly sessionTtlMsMax: number;
  /** Leases at one time; beyond it LEASES_FULL. */
  readonly leasesMax: number;
  /** Shortest time to live of a lease, milliseconds of log time: less is raised to it. */
  readonly leaseTtlMsMin: number;
  /**
   * Rows that expired sessions, and again expired leases, may cost at the start of one batch; the
   * rest waits for the next. (The keys of one lease go together, however many.)
   */
  readonly expiryRowsPerBatchMax: number;
  /** Rows of the history that compaction looks at in one batch, besides two for each change. */
  readonly compactionRowsPerBatch: number;
  /** The same, however many changes the batch makes. */
  readonly compactionRowsPerBatchMax: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

export const KV_LIMITS: KvLimits = {
  valueBytesMax: API_LIMITS.requestBytesMax,
  answerBytesMax: 8 * 1024 * 1024,
  sessionsMax: 250_000,
  sessionAnswersMax: 8192,
  sessionAnswerBytesMax: 8 * 1024 * 1024,
  sessionOldNoncesMax: 16,
  sessionTtlMsMin: 1_000,
  sessionTtlMsMax: 31 * DAY_MS,
  leasesMax: 250_000,
  leaseTtlMsMin: 2_000,
  expiryRowsPerBatchMax: 4096,
  compactionRowsPerBatch: 256,
  compactionRowsPerBatchMax: 8192,
};
