import fc from 'fast-check';
import type { Type } from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../lib/index.ts';
import {
  API_LIMITS,
  decodeAnswer,
  decodeCloseSession,
  decodeCommand,
  decodeExecuteReply,
  decodeExecuteRequests,
  decodeOpenSession,
  decodeResolve,
  decodeStatus,
  type ExecuteRequest,
  encodeAnswer,
  encodeCommand,
  encodeExecuteReplies,
  encodeExecuteRequests,
  encodeHello,
  encodeOpenSessionResult,
  encodeResolveResult,
  encodeStatus,
  type KeyRange,
  type Txn,
  type TxnOperation,
} from './index.ts';
import {
  arbAnswer,
  arbCommand,
  arbExecuteRequest,
  arbHello,
  arbIdentifiedAnswer,
  arbMemberStatus,
  arbUint,
} from './testing/arbitraries.ts';
import {
  answerPlain,
  commandPlain,
  messageType,
  reencode,
  replyPlain,
  requestsPlain,
  statusPlain,
  understood,
} from './testing/schema.ts';

/** Fixed, so that a run is repeated by running it again; raise `runs` to search wider. */
const CHECK = { seed: 20_260_101, numRuns: 300 };

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('our codec and protobufjs on the .proto file', () => {
  function agree<T>(
    type: Type,
    value: T,
    encode: (value: T) => Uint8Array,
    decode: (bytes: Uint8Array) => T,
    translate: (value: T) => unknown,
  ): void {
    const bytes = encode(value);
    expect(decode(bytes)).toEqual(value);
    expect(understood(type, bytes)).toEqual(translate(value));
    expect(reencode(type, bytes)).toEqual(Buffer.from(bytes));
  }

  test('a command means the same to both, and its bytes are those of protobufjs', () => {
    const type = messageType('Command');
    const check = fc.property(arbCommand, (command) => {
      agree(type, command, encodeCommand, decodeCommand, commandPlain);
    });
    fc.assert(check, CHECK);
  });

  test('an answer means the same to both, and its bytes are those of protobufjs', () => {
    const type = messageType('Answer');
    const check = fc.property(arbAnswer, (answer) => {
      agree(type, answer, encodeAnswer, decodeAnswer, answerPlain);
    });
    fc.assert(check, CHECK);
  });

  test('a row of requests means the same to both', () => {
    const type = messageType('ExecuteRequest');
    const check = fc.property(fc.array(arbExecuteRequest, { maxLength: 5 }), (requests) => {
      agree(type, requests, encodeExecuteRequests, decodeExecuteRequests, requestsPlain);
    });
    fc.assert(check, CHECK);
  });

  test('a row of replies means the same to both', () => {
    const type = messageType('ExecuteReply');
    const check = fc.property(fc.array(arbIdentifiedAnswer, { maxLength: 5 }), (replies) => {
      const bytes = encodeExecuteReplies(replies);
      const reply = { type: 'replies', replies } as const;
      expect(decodeExecuteReply(bytes)).toEqual(reply);
      expect(understood(type, bytes)).toEqual(replyPlain(reply));
    });
    fc.assert(check, CHECK);
  });

  test('hello means the same to both', () => {
    const type = messageType('ExecuteReply');
    const check = fc.property(arbHello, (hello) => {
      const bytes = encodeHello(hello);
      const reply = { type: 'hello', ...hello } as const;
      expect(decodeExecuteReply(bytes)).toEqual(reply);
      expect(understood(type, bytes)).toEqual(replyPlain(reply));
    });
    fc.assert(check, CHECK);
  });

  test('a status means the same to both', () => {
    const type = messageType('StatusResult');
    const check = fc.property(arbMemberStatus, (status) => {
      agree(type, status, encodeStatus, decodeStatus, statusPlain);
    });
    fc.assert(check, CHECK);
  });

  test('the unary messages are the bodies of the commands, queries and answers', () => {
    const check = fc.property(arbCommand, arbAnswer, arbUint, arbUint, (command, answer, a, b) => {
      if (command.type === 'openSession') {
        const bytes = messageType('OpenSession')
          .encode({ ...command })
          .finish();
        expect(decodeOpenSession(bytes)).toEqual(command);
      }
      if (command.type === 'closeSession') {
        const bytes = messageType('CloseSession')
          .encode({ ...command })
          .finish();
        expect(decodeCloseSession(bytes)).toEqual(command);
      }
      if (answer.type === 'openSession') {
        const body = understood(messageType('OpenSessionResult'), encodeOpenSessionResult(answer));
        expect({ openSession: body }).toEqual(answerPlain(answer));
      }
      if (answer.type === 'resolve') {
        const body = understood(messageType('ResolveResult'), encodeResolveResult(answer));
        expect({ resolve: body }).toEqual(answerPlain(answer));
      }
      const resolve = messageType('ResolveRequest').encode({ sessionId: a, seq: b }).finish();
      expect(decodeResolve(resolve)).toEqual({ type: 'resolve', sessionId: a, seq: b });
    });
    fc.assert(check, CHECK);
  });
});

describe('what the wire cannot say', () => {
  const overTheWire = (range: KeyRange): KeyRange => {
    const operation = { type: 'delete', range, prevKv: false } as const;
    const command = decodeCommand(encodeCommand({ type: 'operation', session: null, operation }));
    if (command.type !== 'operation' || command.operation.type !== 'delete') throw new Error('?');
    return command.operation.range;
  };

  test('an empty range stays empty: its end never turns into "one key" or "from key on"', () => {
    for (const to of [new Uint8Array(0), Uint8Array.of(0)]) {
      const range = overTheWire({ from: bytesOf('b'), to });
      expect(range.to).not.toBeNull();
      expect(Buffer.compare(range.from, range.to ?? new Uint8Array(0))).toBeGreaterThanOrEqual(0);
    }
  });

  test('a limit or revision of 0 is refused: null says none', () => {
    const range = { from: bytesOf('a'), to: null };
    const query = {
      type: 'range',
      range,
      limit: null,
      revision: null,
      keysOnly: false,
      countOnly: false,
    } as const;
    const encode = (change: { limit?: number; revision?: number }): Uint8Array =>
      encodeExecuteRequests([
        {
          id: 1,
          body: { type: 'query', query: { serializable: false, query: { ...query, ...change } } },
        },
      ]);
    expect(() => encode({ limit: 0 })).toThrow('null, not 0');
    expect(() => encode({ revision: 0 })).toThrow('null, not 0');
    expect(encode({ limit: 1, revision: 1 }).length).toBeGreaterThan(0);
  });

  test('an error code of a newer version is read as BAD_PEER, whose outcome is unknown', () => {
    const bytes = messageType('Answer')
      .encode({ error: { code: 4000, message: 'new' } })
      .finish();
    expect(decodeAnswer(bytes)).toEqual({
      type: 'error',
      code: 'BAD_PEER',
      message: 'error 4000: new',
      leader: null,
    });
  });
});

describe('refused', () => {
  const refused = (name: string, object: object, decode: (bytes: Uint8Array) => unknown): void => {
    const type = messageType(name);
    const bytes = type.encode(type.fromObject(object)).finish();
    expect(() => decode(bytes), JSON.stringify(object)).toThrow(DecodeError);
  };

  test('a message without the body that says what it is', () => {
    refused('Command', {}, decodeCommand);
    refused('Command', { session: { seq: 1 } }, decodeCommand);
    refused('Command', { txn: { success: [{}] } }, decodeCommand);
    refused('Command', { txn: { compares: [{ key: bytesOf('k') }] } }, decodeCommand);
    refused('Answer', {}, decodeAnswer);
    refused('Answer', { error: { message: 'no code' } }, decodeAnswer);
    refused('Answer', { txn: { results: [{}] } }, decodeAnswer);
    refused('ExecuteRequest', { requests: [{ id: 1 }] }, decodeExecuteRequests);
    refused('ExecuteRequest', { requests: [{ query: {} }] }, decodeExecuteRequests);
    refused('ExecuteReply', { replies: [{ id: 1 }] }, decodeExecuteReply);
  });

  test('opening or closing a session inside a session', () => {
    refused('Command', { session: { seq: 1 }, openSession: {} }, decodeCommand);
    refused('Command', { session: { seq: 1 }, closeSession: {} }, decodeCommand);
  });

  test('hello together with replies', () => {
    const reply = { hello: {}, replies: [{ answer: bytesOf('a') }] };
    refused('ExecuteReply', reply, decodeExecuteReply);
  });

  test('numbers beyond 2^53 - 1, and 2^53 - 1 is not', () => {
    const seq = (value: bigint): object => ({ session: { seq: String(value) }, skip: {} });
    refused('Command', seq(2n ** 53n), decodeCommand);
    refused('Command', seq(2n ** 64n - 1n), decodeCommand);
    const type = messageType('Command');
    const highest = decodeCommand(type.encode(type.fromObject(seq(2n ** 53n - 1n))).finish());
    expect(highest).toMatchObject({ session: { seq: Number.MAX_SAFE_INTEGER } });
  });

  test('unknown members of an enum', () => {
    refused('Command', { txn: { compares: [{ relation: 4, version: 1 }] } }, decodeCommand);
    refused('Answer', { resolve: { state: 3 } }, decodeAnswer);
    refused('StatusResult', { role: 4 }, decodeStatus);
  });

  const nested = (depth: number, innermost: TxnOperation[] = []): Txn => {
    let txn: Txn = { type: 'txn', compares: [], success: innermost, failure: [] };
    for (let i = 1; i < depth; i++) {
      txn = { type: 'txn', compares: [], success: [txn], failure: [] };
    }
    return txn;
  };

  test('transactions nested deeper than the limit, and at the limit not', () => {
    const encode = (depth: number): Uint8Array =>
      encodeCommand({ type: 'operation', session: null, operation: nested(depth) });
    const atLimit = encode(API_LIMITS.txnDepthMax);
    expect(encodeCommand(decodeCommand(atLimit))).toEqual(atLimit);
    expect(() => decodeCommand(encode(API_LIMITS.txnDepthMax + 1))).toThrow('nested too deep');
    expect(() => decodeCommand(encode(1000))).toThrow('nested too deep');
  });

  test('no transaction that is a query and no deeper than the limit', () => {
    const range = { from: bytesOf('a'), to: bytesOf('b') };
    const all = { limit: null, revision: null, keysOnly: false, countOnly: false };
    const order = { target: 'version', descending: true } as const;
    const query = nested(API_LIMITS.txnDepthMax, [{ type: 'range', range, ...all, order }]);
    const requests = [{ id: 1, body: { type: 'query', query: { serializable: false, query } } }];
    const bytes = encodeExecuteRequests(requests as ExecuteRequest[]);
    expect(decodeExecuteRequests(bytes)).toEqual(requests);
  });

  test('transactions of more parts than all limits allow together', () => {
    const skip = { type: 'append', key: bytesOf('k'), value: bytesOf('') } as const;
    const encode = (parts: number): Uint8Array => {
      const operation = {
        type: 'txn',
        compares: [],
        success: Array.from({ length: parts }, () => skip),
        failure: [],
      } as const;
      return encodeCommand({ type: 'operation', session: null, operation });
    };
    const parts = 3 * API_LIMITS.txnOperationsMax;
    expect(decodeCommand(encode(parts))).toMatchObject({ type: 'operation' });
    expect(() => decodeCommand(encode(parts + 1))).toThrow('too many parts');
  });

  test('more requests or replies in one message than the limit, and at the limit not', () => {
    const max = API_LIMITS.streamMessageRequestsMax;
    const command = bytesOf('c');
    const requests = (count: number): Uint8Array =>
      encodeExecuteRequests(
        Array.from({ length: count }, (_, id) => ({ id, body: { type: 'command', command } })),
      );
    expect(decodeExecuteRequests(requests(max))).toHaveLength(max);
    expect(() => decodeExecuteRequests(requests(max + 1))).toThrow('too many requests');
    const replies = (count: number): Uint8Array =>
      encodeExecuteReplies(Array.from({ length: count }, (_, id) => ({ id, answer: command })));
    expect(decodeExecuteReply(replies(max))).toMatchObject({ type: 'replies' });
    expect(() => decodeExecuteReply(replies(max + 1))).toThrow('too many replies');
  });
});

describe('memory', () => {
  test('keys and values are views of the input, so that decoding copies nothing', () => {
    const operation = { type: 'put', key: bytesOf('key'), value: bytesOf('value'), prevKv: false };
    const bytes = encodeCommand({
      type: 'operation',
      session: null,
      operation: operation as never,
    });
    const command = decodeCommand(bytes);
    if (command.type !== 'operation' || command.operation.type !== 'put')
      throw new Error('not a put');
    expect(command.operation.key.buffer).toBe(bytes.buffer);
    expect(command.operation.value.buffer).toBe(bytes.buffer);
  });
});
