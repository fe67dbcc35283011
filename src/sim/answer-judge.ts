import type { Answer, Operation, Query, TxnOperationResult } from '../api/index.ts';
import { bytesKey, utf8String } from '../lib/index.ts';
import type { Replay, ReplayChange } from './replay.ts';
import { Violation } from './violation.ts';

/** Bytes of a value that are printed. */
const WORDS_MAX = 40;

/** What somebody was told that a write of theirs did to one key. */
export interface Told {
  readonly key: string;
  /** What was put there, or appended. */
  readonly value: Uint8Array;
  /** Revision that it made. */
  readonly revision: number;
  /** Length of the value after an append, bytes; null: it was put. */
  readonly valueBytes: number | null;
}

/**
 * Holds the answer to a write against what the committed log says of that revision: nobody is told
 * of what somebody else did.
 * @throws Violation
 */
export function judgeWrite(replay: Replay, who: string, told: Told): void {
  const { key, value, revision, valueBytes } = told;
  const change = replay.changesOf(revision).find((one) => one.key === key);
  const length = valueBytes ?? value.length;
  if (change?.type === 'put' && change.value.length === length && endsWith(change, value)) return;
  const words = utf8String(value.subarray(0, WORDS_MAX));
  fail(who, `${words} at revision ${revision} of ${key}, ${length} bytes then`);
}

/** The same for a delete that found its key. */
export function judgeDelete(
  replay: Replay,
  who: string,
  { key, revision }: { readonly key: string; readonly revision: number },
): void {
  const changes = replay.changesOf(revision);
  if (changes.some((change) => change.key === key && change.type === 'delete')) return;
  fail(who, `the end of ${key} at revision ${revision}`);
}

/**
 * Holds an answer without an error against what was asked for: a command on single keys, or a read
 * of one.
 * @throws Violation
 */
export function judgeAnswer(
  replay: Replay,
  who: string,
  { asked, answer }: { readonly asked: Operation | Query['query']; readonly answer: Answer },
): void {
  if (asked.type !== answer.type) fail(who, `a ${answer.type} and had asked for a ${asked.type}`);
  switch (asked.type) {
    case 'put':
    case 'append':
      return judgeWrite(replay, who, toldBy(asked, answer));
    case 'delete': {
      if (answer.type !== 'delete' || answer.deleted === 0) return;
      const { revision } = answer;
      return judgeDelete(replay, who, { key: bytesKey(asked.range.from), revision });
    }
    case 'txn':
      for (const [i, each] of asked.success.entries()) {
        const result = answer.type === 'txn' ? answer.results[i] : undefined;
        if (each.type !== 'put' || result === undefined) fail(who, `nothing of step ${i}`);
        judgeWrite(replay, who, toldBy(each, result));
      }
      return;
    case 'range': {
      const [kv, ...more] = answer.type === 'range' ? answer.kvs : [];
      const key = bytesKey(asked.range.from);
      if (kv === undefined) return;
      if (more.length > 0 || bytesKey(kv.key) !== key) fail(who, `${bytesKey(kv.key)}, not ${key}`);
      const { value, modRevision: revision } = kv;
      return judgeWrite(replay, who, { key, value, revision, valueBytes: null });
    }
    default:
      fail(who, `a ${asked.type}, and nobody asks for that`);
  }
}

function toldBy(
  asked: { readonly type: 'put' | 'append'; readonly key: Uint8Array; readonly value: Uint8Array },
  answer: Answer | TxnOperationResult,
): Told {
  return {
    key: bytesKey(asked.key),
    value: asked.value,
    revision: 'revision' in answer ? answer.revision : 0,
    valueBytes: answer.type === 'append' ? answer.valueBytes : null,
  };
}

function endsWith({ value }: ReplayChange, end: Uint8Array): boolean {
  return Buffer.compare(value.subarray(value.length - end.length), end) === 0;
}

function fail(who: string, what: string): never {
  throw new Violation('an answer tells what was done', `${who} was told of ${what}`);
}
