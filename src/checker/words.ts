import { unreachable } from '../lib/index.ts';
import type { History, Operation, RecordedCall, Result, Seen } from './history.ts';
import type { Judgement } from './judge.ts';

const VALUE_CHARACTERS_MAX = 40;

/** A call in words: `put k = "v"`, `get k`. */
export function operationWords(operation: Operation): string {
  switch (operation.type) {
    case 'get':
      return `get ${word(operation.key)}`;
    case 'range':
      return `range ${word(operation.from)} … ${word(operation.to ?? 'end')}`;
    case 'put':
      return `put ${word(operation.key)} = ${quoted(operation.value)}`;
    case 'append':
      return `append ${word(operation.key)} + ${quoted(operation.value)}`;
    case 'delete':
      return `delete ${word(operation.key)}`;
    case 'txn': {
      const compares = operation.compares.map(
        ({ key, is, value }) => `${word(key)} ${is === 'equal' ? '=' : '≠'} ${seenWords(value)}`,
      );
      const steps = (list: readonly Operation[]): string =>
        list.length === 0 ? 'nothing' : list.map(operationWords).join(', ');
      const condition = compares.length === 0 ? '' : `if ${compares.join(' and ')} `;
      const otherwise = operation.failure.length === 0 ? '' : ` else ${steps(operation.failure)}`;
      return `txn ${condition}then ${steps(operation.success)}${otherwise}`;
    }
    default:
      unreachable(operation);
  }
}

/** What the caller was told, in words. */
export function outcomeWords({ outcome }: RecordedCall): string {
  switch (outcome.type) {
    case 'ok': {
      const words = resultWords(outcome.result);
      return outcome.revision === null ? words : `${words} at revision ${outcome.revision}`;
    }
    case 'notApplied':
      return 'not applied';
    case 'unknown':
      return 'outcome unknown';
    default:
      unreachable(outcome);
  }
}

function resultWords(result: Result): string {
  switch (result.type) {
    case 'get':
      return seenWords(result.value);
    case 'range': {
      const entries = result.entries.map(([key, value]) => `${word(key)}=${quoted(value)}`);
      return entries.length === 0 ? 'no keys' : entries.join(' ');
    }
    case 'put':
      return 'ok';
    case 'append':
      return result.valueBytes === null ? 'ok' : `${result.valueBytes} bytes`;
    case 'delete':
      return result.deleted ? 'deleted' : 'no such key';
    case 'txn': {
      const results = result.results.map(resultWords).join(', ');
      return `${result.succeeded ? 'succeeded' : 'failed'}${results === '' ? '' : `: ${results}`}`;
    }
    default:
      unreachable(result);
  }
}

function seenWords(seen: Seen): string {
  if (seen === null) return 'absent';
  return typeof seen === 'string' ? quoted(seen) : `${seen.length} characters, hash ${seen.hash}`;
}

/** The end of a long value tells more than its beginning: what was appended last. */
function quoted(text: string): string {
  if (text.length <= VALUE_CHARACTERS_MAX) return JSON.stringify(text);
  return `${text.length} characters … ${JSON.stringify(text.slice(-VALUE_CHARACTERS_MAX))}`;
}

function word(text: string): string {
  return /^[\w./:-]{1,40}$/.test(text) ? text : quoted(text);
}

/** A time of the history, counted from its first call. */
export function timeWords(time: number, history: History): string {
  const perMs = history.header.unit === 'ns' ? 1e6 : 1e3;
  return `${((time - startOf(history)) / perMs).toFixed(3)} ms`;
}

/** Time of the first call or fault; 0 if there is none. */
export function startOf({ calls, faults }: History): number {
  let start = Number.POSITIVE_INFINITY;
  for (const { called } of calls) start = Math.min(start, called);
  for (const { from } of faults) start = Math.min(start, from);
  return Number.isFinite(start) ? start : 0;
}

const CHECKER_WORDS = {
  search: 'search for an order',
  appends: 'unique tokens',
  revisions: "the store's revisions",
} as const;

const CALLS_SHOWN_MAX = 30;

/** The verdict: the first line says it all, the rest the contradiction. */
export function judgementLines(judgement: Judgement, history: History): string[] {
  const { type, calls, keys, checkers, contradiction, reason, key } = judgement;
  const by = [...checkers.keys()].map((checker) => CHECKER_WORDS[checker]).join(' and ');
  const judged = `${count(calls, 'call')} on ${count(keys, 'key')}, judged by ${by || 'nothing'}`;
  switch (type) {
    case 'ok':
      return [`OK: linearizable. ${judged}`];
    case 'undecided':
      return [`UNDECIDED: ${judged}`, `${key === null ? '' : `key ${key}: `}${reason}`];
    case 'violation': {
      const shown = contradiction.slice(0, CALLS_SHOWN_MAX).map((index) => {
        const call = history.calls[index] as RecordedCall;
        const end = call.returned === null ? 'never' : timeWords(call.returned, history);
        const times = `${timeWords(call.called, history)} to ${end}`;
        const words = `${operationWords(call.operation)} -> ${outcomeWords(call)}`;
        return `  ${call.clerk}: ${words} (${times})`;
      });
      const more = contradiction.length - shown.length;
      return [
        `VIOLATION: not linearizable. ${judged}`,
        `${key === null ? '' : `key ${key}: `}${reason}${shown.length > 0 ? ':' : ''}`,
        ...shown,
        ...(more > 0 ? [`  and ${more} more`] : []),
      ];
    }
    default:
      unreachable(type);
  }
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}
