/**
 * Judges what clients saw. Stands alone: it imports none of the code it judges. `checkLinearizable`
 * searches for an order that explains a mixed history; `checkAppends` looks at what many appends
 * left. docs/CHECKER.md tells the format of recorded histories and which checker judges what.
 *
 *   history.ts, values.ts    a call and what its caller was told; values by length and hash
 *   format.ts, recorder.ts   a history as lines of JSON, read and written
 *   judge.ts, words.ts       picks a checker for each object; the verdict in words
 *   linearizable.ts          the search (search.ts) on the model (model.ts), object by object
 *                            (objects.ts), shown.ts leaves out what nobody saw;
 *                            the shortest contradiction (minimise.ts)
 *   revisions.ts             replays the order that the store's revisions claim
 *   appends.ts, exactly-once.ts  linear checkers of unique tokens
 *   page/                    a history as one HTML page
 */
export {
  checkAppends,
  checkTimedAppends,
  type TimedAppend,
  type TimedRead,
  type TokenAppend,
} from './appends.ts';
export { checkExactlyOnce, type Executions, type SessionAppend } from './exactly-once.ts';
export { callLine, faultLine, HistoryFormatError, headerLine } from './format.ts';
export type {
  Call,
  Compare,
  Digest,
  FaultBand,
  History,
  HistoryHeader,
  KvOperation,
  Operation,
  Outcome,
  RecordedCall,
  Result,
  Seen,
  TxnStep,
} from './history.ts';
export { JUDGE_BOUNDS, type Judgement, judge } from './judge.ts';
export { checkLinearizable, type Linearization, linearize, type Verdict } from './linearizable.ts';
export { historyPage } from './page/page.ts';
export { HistoryReader, HistoryRecorder, historyLines, type OpenCall } from './recorder.ts';
export { carriesRevisions, checkRevisions, type RevisionVerdict } from './revisions.ts';
export { digestOf } from './values.ts';
export { judgementLines } from './words.ts';
