import type { Command, Query } from '../api/index.ts';
import type { PeerMessage } from '../transport/index.ts';
import { FAULT_KINDS, type FaultKind } from './plan.ts';

/** What clerks ask members for: every command and query of quorate.v1, and `status`. */
export type ClientCall = keyof typeof CLIENT_CALLS | Unused;

/** What no clerk of the simulation calls. */
type Unused = Extract<AnyCall, `lease${string}`>;

type AnyCall =
  | Exclude<Command['type'], 'operation'>
  | Extract<Command, { type: 'operation' }>['operation']['type']
  | Query['query']['type']
  | 'status';

/** All of them: the compiler says when one is missing. */
const CLIENT_CALLS: { readonly [Call in Exclude<AnyCall, Unused>]: true } = {
  put: true,
  append: true,
  delete: true,
  txn: true,
  compact: true,
  skip: true,
  openSession: true,
  closeSession: true,
  range: true,
  resolve: true,
  changes: true,
  status: true,
};

/** Raft's own `installSnapshot` never leaves a member: pieces of it do. */
type PeerCall = Exclude<PeerMessage['type'], 'installSnapshot'>;

const PEER_CALLS: { readonly [Call in PeerCall]: true } = {
  requestVote: true,
  requestVoteReply: true,
  preVote: true,
  preVoteReply: true,
  appendEntries: true,
  appendEntriesReply: true,
  heartbeat: true,
  heartbeatReply: true,
  timeoutNow: true,
  readIndex: true,
  readIndexReply: true,
  installSnapshotReply: true,
  snapshotChunk: true,
  snapshotChunkReply: true,
  stateHash: true,
  forward: true,
  forwardReply: true,
};

/** Rows of the matrix. */
export const CALLS: readonly string[] = [...Object.keys(CLIENT_CALLS), ...Object.keys(PEER_CALLS)];

const ROW = new Map(CALLS.map((call, row) => [call, row * FAULT_KINDS.length]));
const COLUMN = new Map(FAULT_KINDS.map((kind, column) => [kind, column]));

/**
 * Which calls were sent while which class of faults was at work: a campaign that leaves a cell
 * empty has not tried that pair.
 */
export class Matrix {
  /** Row by row. */
  readonly #counts: number[] = new Array(CALLS.length * FAULT_KINDS.length).fill(0);
  /** Columns of what is at work now, each as often as it is. */
  readonly #atWork: number[] = [];

  begin(kind: FaultKind): void {
    this.#atWork.push(COLUMN.get(kind) ?? 0);
  }

  end(kind: FaultKind): void {
    this.#atWork.splice(this.#atWork.indexOf(COLUMN.get(kind) ?? 0), 1);
  }

  /** A call leaves. */
  add(call: ClientCall | PeerMessage['type']): void {
    if (this.#atWork.length === 0) return;
    const row = ROW.get(call);
    if (row === undefined) return;
    for (const column of this.#atWork)
      this.#counts[row + column] = (this.#counts[row + column] ?? 0) + 1;
  }

  /** Adds what another run has counted. */
  addAll(counts: readonly number[]): void {
    for (const [i, count] of counts.entries()) this.#counts[i] = (this.#counts[i] ?? 0) + count;
  }

  /** Row by row, for `addAll`. */
  get counts(): readonly number[] {
    return this.#counts;
  }

  at(call: string, kind: FaultKind): number {
    return this.#counts[(ROW.get(call) ?? 0) + (COLUMN.get(kind) ?? 0)] ?? 0;
  }

  /** Pairs that never met. */
  empty(): string[] {
    return CALLS.flatMap((call) =>
      FAULT_KINDS.filter((kind) => this.at(call, kind) === 0).map(
        (kind) => `${call} during ${kind}`,
      ),
    );
  }

  /** As a table in Markdown. */
  toMarkdown(): string[] {
    const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`;
    return [
      line(['', ...FAULT_KINDS]),
      line(['---', ...FAULT_KINDS.map(() => '--:')]),
      ...CALLS.map((call) => line([call, ...FAULT_KINDS.map((kind) => this.at(call, kind))])),
    ];
  }
}
