import { describe, expect, test } from 'vitest';
import type { TxnRequest } from '../client/index.ts';
import { parseTxnScript } from './txn-script.ts';

/** The request with its byte strings as text. */
function parsed(script: string): unknown {
  return JSON.parse(
    JSON.stringify(parseTxnScript(script) satisfies TxnRequest, (_name, value) =>
      value?.type === 'Buffer' ? Buffer.from(value.data).toString('latin1') : value,
    ),
  );
}

describe('a transaction script', () => {
  test('has compares, what to do if they hold, and what to do otherwise', () => {
    const script = [
      '# a comment',
      'value("greeting") = "hello"',
      'version(counter) > "3"',
      'create("a b") != 0',
      'mod("k") < "9007199254740991"',
      '',
      'put greeting "good bye"',
      'append log "x"',
      'get counter',
      '',
      'del greeting',
      'del a c',
      'get user/ --prefix',
      '',
    ].join('\n');
    expect(parsed(script)).toEqual({
      compares: [
        { key: 'greeting', is: 'equal', value: 'hello' },
        { key: 'counter', is: 'greater', version: 3 },
        { key: 'a b', is: 'notEqual', createRevision: 0 },
        { key: 'k', is: 'less', modRevision: Number.MAX_SAFE_INTEGER },
      ],
      success: [
        { put: 'greeting', value: 'good bye' },
        { append: 'log', value: 'x' },
        { range: 'counter' },
      ],
      failure: [
        { delete: 'greeting' },
        { delete: { from: 'a', to: 'c' } },
        { range: { prefix: 'user/' } },
      ],
    });
  });

  test('may leave out compares, what to do otherwise, or everything', () => {
    expect(parsed('\nput a b')).toEqual({
      compares: [],
      success: [{ put: 'a', value: 'b' }],
      failure: [],
    });
    expect(parsed('\n\nput a b')).toEqual({
      compares: [],
      success: [],
      failure: [{ put: 'a', value: 'b' }],
    });
    expect(parsed('')).toEqual({ compares: [], success: [], failure: [] });
  });

  test('understands escapes in double quotes, down to single bytes, and none in bare words', () => {
    expect(parsed('\nput "a\\"b\\\\" "\\n\\r\\t\\x00\\xff"\nput c\\n ""')).toMatchObject({
      success: [
        { put: 'a"b\\', value: '\n\r\t\u0000\u00ff' },
        { put: 'c\\n', value: '' },
      ],
    });
  });

  test('with line ends of Windows means the same', () => {
    expect(parsed('value(a) = "1"\r\n\r\nput a b\r\n')).toEqual(
      parsed('value(a) = "1"\n\nput a b\n'),
    );
  });

  test.each([
    ['values("a") = "1"', 1, 'a compare is'],
    ['value("a") == "1"', 1, 'a compare is'],
    ['value("a") = "1" "2"', 1, 'a compare is'],
    ['version("a") = "x"', 1, "'x' is not a number from 0 on"],
    ['version("a") = "-1"', 1, "'-1' is not a number from 0 on"],
    ['version("a") = "9007199254740992"', 1, 'is not a number from 0 on'],
    ['value("") = "1"', 1, 'the key is empty'],
    ['\nfetch a', 2, "'fetch' is not one of put, append, get, del"],
    ['\nput a', 2, 'put takes a key and a value'],
    ['\nput a b c', 2, 'put takes a key and a value'],
    ['\nput "" b', 2, 'the key is empty'],
    ['\nget', 2, 'get takes KEY'],
    ['\ndel a b --prefix', 2, 'del takes KEY'],
    ['\nput a "b', 2, 'closing quote is missing'],
    ['\nput a "b"c', 2, 'closing quote is missing'],
    ['\nput a "\\q"', 2, 'unknown escape \\q'],
    ['\nput a b\n\nput a c\n\nput a d', 6, 'a fourth paragraph'],
  ])('%j is refused, and the line is named', (script, line, reason) => {
    expect(() => parseTxnScript(script)).toThrow(`txn, line ${line}: `);
    expect(() => parseTxnScript(script)).toThrow(reason);
  });
});
