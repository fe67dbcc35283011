import type { MemberStatus } from '../api/index.ts';
import type { CommandOutcome, Entry, Resolution, WatchBatch } from '../client/index.ts';
import { oneLine } from './exit.ts';

/** What a command did. */
export type Result = CommandOutcome<'bytes'>;

/** What a read found. */
export type RangeResult = Extract<Result, { type: 'range' }>;

/** How results are written: for people and pipes, or as JSON with etcd's field names. */
export type OutputFormat = 'simple' | 'json';

/** One result on its way to standard output, as bytes: values are written as they are. */
export function formatResult(result: Result, format: OutputFormat): Uint8Array {
  if (format === 'json') return Buffer.from(`${JSON.stringify(resultJson(result))}\n`);
  switch (result.type) {
    case 'put':
      return Buffer.from('OK\n');
    case 'append':
      return Buffer.from(`${result.valueBytes}\n`);
    case 'delete':
      return Buffer.from(`${result.deleted}\n`);
    case 'range':
      return lines(result.entries.flatMap((entry) => [entry.key, entry.value]));
    case 'txn':
      return Buffer.concat([
        Buffer.from(result.succeeded ? 'SUCCESS\n' : 'FAILURE\n'),
        ...result.results.map((each) => formatResult(each, format)),
      ]);
    case 'compact':
      return Buffer.from('compacted\n');
    case 'leaseGrant':
    case 'leaseKeepAlive':
      return Buffer.from(`${seconds(result.ttlMs)}s\n`);
    case 'leaseRevoke':
      return Buffer.from(`${result.deleted}\n`);
    default:
      return result satisfies never;
  }
}

/** A range without its values: one key a line. */
export function formatKeys(result: RangeResult): Uint8Array {
  return lines(result.entries.map((entry) => entry.key));
}

/** Each piece as it is, a line feed behind it. */
export function lines(pieces: readonly Uint8Array[]): Uint8Array {
  const lineFeed = Buffer.from('\n');
  return Buffer.concat(pieces.flatMap((piece) => [piece, lineFeed]));
}

/** What became of a command: its state, and its answer as the command itself would print it. */
export function formatResolution(resolution: Resolution, format: OutputFormat): Uint8Array {
  const { state } = resolution;
  if (format === 'json') {
    const result = state === 'executed' ? { result: resultJson(resolution.result) } : {};
    const error = state === 'refused' ? { error: resolution.error.message } : {};
    return Buffer.from(`${JSON.stringify({ state, ...result, ...error })}\n`);
  }
  const words = Buffer.from(`${STATE_WORDS[state]}\n`);
  if (state === 'executed') return Buffer.concat([words, formatResult(resolution.result, format)]);
  if (state === 'refused')
    return Buffer.from(`${STATE_WORDS[state]}: ${oneLine(resolution.error.message)}\n`);
  return words;
}

const STATE_WORDS: Readonly<Record<Resolution['state'], string>> = {
  executed: 'executed',
  refused: 'refused, nothing was changed',
  skipped: 'skipped, it will never be executed',
  notExecuted: 'not executed',
  acknowledged: 'executed, its answer is no longer kept',
};

/** JSON as etcdctl writes it: bytes in base64, revisions as numbers. */
export function resultJson(result: Result): object {
  const header = { revision: result.revision };
  switch (result.type) {
    case 'put':
      return { header, ...(result.prev === null ? {} : { prev_kv: entryJson(result.prev) }) };
    case 'append':
      return { header, value_bytes: result.valueBytes };
    case 'delete': {
      const prev = result.prev.length === 0 ? {} : { prev_kvs: result.prev.map(entryJson) };
      return { header, deleted: result.deleted, ...prev };
    }
    case 'range': {
      const { entries, more, count } = result;
      return { header, kvs: entries.map(entryJson), more, count };
    }
    case 'txn': {
      const responses = result.results.map((each) => ({ [responseName(each)]: resultJson(each) }));
      return { header, succeeded: result.succeeded, responses };
    }
    case 'compact':
      return { header };
    case 'leaseGrant':
    case 'leaseKeepAlive':
      return { header, ttl: seconds(result.ttlMs) };
    case 'leaseRevoke':
      return { header, deleted: result.deleted };
    default:
      return result satisfies never;
  }
}

function responseName(result: Result): string {
  return result.type === 'delete' ? 'response_delete_range' : `response_${result.type}`;
}

function entryJson(entry: Entry<'bytes'>): object {
  return {
    key: base64(entry.key),
    create_revision: entry.createRevision,
    mod_revision: entry.modRevision,
    version: entry.version,
    value: base64(entry.value),
    ...(entry.lease === undefined ? {} : { lease: id(entry.lease) }),
  };
}

/**
 * What a watch has seen, as etcdctl prints it: PUT or DELETE, what was before if that was asked
 * for, then key and value, an empty one after a deletion.
 */
export function formatBatch(batch: WatchBatch<'bytes'>, format: OutputFormat): Uint8Array {
  if (format === 'json') return Buffer.from(`${JSON.stringify(batchJson(batch))}\n`);
  return lines(
    batch.events.flatMap((event) => [
      Buffer.from(event.type.toUpperCase()),
      ...(event.prev === null ? [] : [event.prev.key, event.prev.value]),
      ...(event.type === 'put'
        ? [event.entry.key, event.entry.value]
        : [event.key, new Uint8Array(0)]),
    ]),
  );
}

function batchJson({ revision, events }: WatchBatch<'bytes'>): object {
  return {
    header: { revision },
    events: events.map((event) => ({
      type: event.type.toUpperCase(),
      kv:
        event.type === 'put'
          ? entryJson(event.entry)
          : { key: base64(event.key), mod_revision: event.revision },
      ...(event.prev === null ? {} : { prev_kv: entryJson(event.prev) }),
    })),
  };
}

/** Whole seconds of a time to live, as etcdctl counts: never less than there are. */
export function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}

/** One member's line of `status`. */
export function statusLine(endpoint: string, status: MemberStatus): string {
  const leader = status.leader === null ? 'none' : id(status.leader.memberId);
  return [
    endpoint,
    `member=${id(status.memberId)}`,
    `name=${oneLine(status.name)}`,
    `role=${status.role}`,
    `leader=${leader}`,
    `term=${status.term}`,
    `applied=${status.appliedIndex}`,
    `revision=${status.revision}`,
    `hash=${oneLine(status.stateHash)}`,
    `version=${oneLine(status.version)}`,
  ].join('  ');
}

/** The same as JSON; ids in hexadecimal, because they do not fit into a number of JSON. */
export function statusJson(status: MemberStatus): object {
  return {
    cluster_id: id(status.clusterId),
    member_id: id(status.memberId),
    name: status.name,
    version: status.version,
    role: status.role,
    leader: status.leader === null ? null : id(status.leader.memberId),
    raft_term: status.term,
    commit_index: status.commitIndex,
    applied_index: status.appliedIndex,
    revision: status.revision,
    state_hash: status.stateHash,
    sessions: status.sessions,
    log_bytes: status.logBytes,
  };
}

/** A 64-bit id as people see it: 16 hexadecimal digits. */
export function id(value: bigint): string {
  return value.toString(16).padStart(16, '0');
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
