import type { Condition, Span, Step, TxnRequest } from '../client/index.ts';
import { usageError } from './exit.ts';
import { spanOf } from './span.ts';

/**
 * Reads etcdctl's form: three paragraphs (compares, success, failure), an empty line between them.
 *
 *      value("greeting") = "hello"
 *      version("counter") > "3"
 *
 *      put greeting "good\nbye"
 *      get counter
 *
 *      del greeting
 *
 * A word is bare or in double quotes; in quotes \n \r \t \\ \" and \xNN (a byte) are understood.
 * Lines that begin with # are comments.
 * @throws CliError (usage) that names the line.
 */
export function parseTxnScript(text: string): TxnRequest {
  const compares: Condition[] = [];
  const success: Step[] = [];
  const failure: Step[] = [];
  const lines = text.replace(/\s+$/, '').split(/\r?\n/);
  let paragraph = 0;
  lines.forEach((line, at) => {
    if (line.startsWith('#')) return;
    try {
      if (line.trim() === '') paragraph++;
      else if (paragraph === 0) compares.push(parseCondition(line));
      else if (paragraph === 1) success.push(parseStep(line));
      else if (paragraph === 2) failure.push(parseStep(line));
      else throw new Error('a fourth paragraph; there are three: compares, success, failure');
    } catch (error) {
      throw usageError(`txn, line ${at + 1}: ${(error as Error).message}`);
    }
  });
  return { compares, success, failure };
}

const RELATIONS: ReadonlyMap<string, 'equal' | 'notEqual' | 'greater' | 'less'> = new Map([
  ['=', 'equal'],
  ['!=', 'notEqual'],
  ['>', 'greater'],
  ['<', 'less'],
]);

const CONDITION_FORM =
  'a compare is value("KEY") = "VALUE", or version, create or mod with a number';

function parseCondition(line: string): Condition {
  const form = /^\s*([a-z]+)\(\s*("(?:[^"\\]|\\.)*"|[^"()\s]+)\s*\)\s*(!=|=|<|>)\s*(.+?)\s*$/;
  const [, target = '', keyWord = '', sign = '', operandWord = ''] = form.exec(line) ?? [];
  const is = RELATIONS.get(sign);
  if (is === undefined) throw new Error(CONDITION_FORM);
  const key = nonEmpty(onlyWord(keyWord));
  const operand = onlyWord(operandWord);
  switch (target) {
    case 'value':
      return { key, is, value: operand };
    case 'version':
      return { key, is, version: count(operand) };
    case 'create':
      return { key, is, createRevision: count(operand) };
    case 'mod':
      return { key, is, modRevision: count(operand) };
    default:
      throw new Error(CONDITION_FORM);
  }
}

function parseStep(line: string): Step {
  const [verbBytes, ...words] = splitWords(line);
  const verb = Buffer.from(verbBytes ?? []).toString();
  switch (verb) {
    case 'put': {
      const [key, value] = keyAndValue(verb, words);
      return { put: key, value };
    }
    case 'append': {
      const [key, value] = keyAndValue(verb, words);
      return { append: key, value };
    }
    case 'get':
      return { range: spanOfWords(verb, words) };
    case 'del':
      return { delete: spanOfWords(verb, words) };
    default:
      throw new Error(`'${verb}' is not one of put, append, get, del`);
  }
}

function keyAndValue(verb: string, words: readonly Uint8Array[]): [Uint8Array, Uint8Array] {
  const [first, value, ...more] = words;
  if (first === undefined || value === undefined || more.length > 0) {
    throw new Error(`${verb} takes a key and a value; put words with spaces in double quotes`);
  }
  return [nonEmpty(first), value];
}

function spanOfWords(verb: string, words: readonly Uint8Array[]): Span {
  const isPrefix = (word: Uint8Array): boolean => Buffer.from(word).toString() === '--prefix';
  const [key, end, ...more] = words.filter((word) => !isPrefix(word));
  const prefix = words.some(isPrefix);
  if (key === undefined || more.length > 0 || (prefix && end !== undefined)) {
    throw new Error(`${verb} takes KEY, or KEY END, or KEY --prefix`);
  }
  return spanOf({ key: prefix ? key : nonEmpty(key), end: end ?? null, prefix, fromKey: false });
}

function nonEmpty(key: Uint8Array): Uint8Array {
  if (key.length === 0) throw new Error('the key is empty');
  return key;
}

function count(bytes: Uint8Array): number {
  const text = Buffer.from(bytes).toString();
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new Error(`'${text}' is not a number from 0 on`);
  return value;
}

function onlyWord(text: string): Uint8Array {
  const [word, ...more] = splitWords(text);
  if (word === undefined || more.length > 0) throw new Error(CONDITION_FORM);
  return word;
}

/** The words of a line: bare, or in double quotes with escapes. */
function splitWords(line: string): Uint8Array[] {
  const words: Uint8Array[] = [];
  let rest = line.trim();
  while (rest !== '') {
    const word = /^"((?:[^"\\]|\\.)*)"(?=\s|$)|^[^"\s]+(?=\s|$)/.exec(rest);
    if (word === null)
      throw new Error(`a word or a closing quote is missing at: ${rest.slice(0, 40)}`);
    words.push(word[1] === undefined ? Buffer.from(word[0]) : unescaped(word[1]));
    rest = rest.slice(word[0].length).trimStart();
  }
  return words;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\\n', '\n'],
  ['\\r', '\r'],
  ['\\t', '\t'],
  ['\\\\', '\\'],
  ['\\"', '"'],
]);

function unescaped(text: string): Uint8Array {
  const parts = text.match(/\\x[0-9a-fA-F]{2}|\\.|[^\\]+/gsu) ?? [];
  return Buffer.concat(
    parts.map((part) => {
      if (!part.startsWith('\\')) return Buffer.from(part);
      if (/^\\x../.test(part)) return Buffer.from(part.slice(2), 'hex');
      const plain = ESCAPES.get(part);
      if (plain === undefined)
        throw new Error(`unknown escape ${part}; write \\\\ for a backslash`);
      return Buffer.from(plain);
    }),
  );
}
