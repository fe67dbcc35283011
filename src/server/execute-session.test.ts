import { beforeEach, describe, expect, test } from 'vitest';
import {
  type Answer,
  API_LIMITS,
  decodeAnswer,
  decodeExecuteReply,
  type ExecuteRequest,
  encodeAnswer,
  encodeCommand,
  encodeExecuteRequests,
} from '../api/index.ts';
import type { Clock } from '../io/index.ts';
import { DecodeError } from '../lib/index.ts';
import { type ExecuteOptions, ExecuteSession } from './execute-session.ts';
import { TestService } from './testing/service.ts';

/** Turns of the event loop, by hand. */
class Turns implements Clock {
  #deferred: (() => void)[] = [];

  nowMs(): number {
    return 0;
  }

  wallMs(): number {
    return 0;
  }

  setTimer(): never {
    throw new Error('a session has no timers');
  }

  defer(run: () => void): void {
    this.#deferred.push(run);
  }

  /** Ends the present turn. */
  end(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const run of deferred) run();
  }
}

const KEY = Uint8Array.of(107);
const SKIPPED = encodeAnswer({ type: 'skip' });
const QUERY: ExecuteRequest['body'] = {
  type: 'query',
  query: { serializable: false, query: { type: 'resolve', sessionId: 1, seq: 2 } },
};

function put(valueBytes = 1): Uint8Array {
  const value = new Uint8Array(valueBytes);
  const operation = { type: 'put', key: KEY, value, prevKv: false } as const;
  return encodeCommand({ type: 'operation', session: null, operation });
}

let service: TestService;
let turns: Turns;
let sent: Uint8Array[];
let drained: number;
let buffered: number;

beforeEach(() => {
  service = new TestService();
  turns = new Turns();
  sent = [];
  drained = 0;
  buffered = 0;
});

function open(limits: ExecuteOptions['limits'] = {}): ExecuteSession {
  return new ExecuteSession({
    service,
    clock: turns,
    send: (message) => void sent.push(message),
    bufferedBytes: () => buffered,
    onDrained: () => void drained++,
    limits,
  });
}

function receive(session: ExecuteSession, ...bodies: readonly ExecuteRequest['body'][]): void {
  session.receive(encodeExecuteRequests(bodies.map((body, i) => ({ id: i + 1, body }))));
}

const command = (bytes: Uint8Array): ExecuteRequest['body'] => ({
  type: 'command',
  command: bytes,
});

/** Answers sent so far, by message, without the hello. */
function messages(): { id: number; answer: Answer }[][] {
  return sent.slice(1).map((message) => {
    const reply = decodeExecuteReply(message);
    if (reply.type !== 'replies') throw new Error('a second hello');
    return reply.replies.map(({ id, answer }) => ({ id, answer: decodeAnswer(answer) }));
  });
}

/** Codes of the errors sent so far, "ok" for answers that are none. */
function codes(): string[] {
  return messages()
    .flat()
    .map(({ answer }) => (answer.type === 'error' ? answer.code : 'ok'));
}

describe('an Execute session', () => {
  test('says hello first', () => {
    open();
    expect(sent.map(decodeExecuteReply)).toEqual([
      { type: 'hello', clusterId: 0xc1n, memberId: 0xa1n },
    ]);
  });

  test('passes the very bytes of a command on, and queries decoded', () => {
    const session = open();
    receive(session, command(put()), QUERY);
    expect(service.commands.map((each) => each.command)).toEqual([put()]);
    expect(service.queries.map((each) => each.query)).toEqual([
      QUERY.type === 'query' && QUERY.query,
    ]);
  });

  test('sends the answers of one turn as one message, each with the id of its request', () => {
    const session = open();
    receive(session, command(put()), command(put()), QUERY);
    service.queries[0]?.reply(SKIPPED);
    service.commands[1]?.reply(SKIPPED);
    expect(messages()).toEqual([]);
    turns.end();
    service.commands[0]?.reply(SKIPPED);
    turns.end();
    expect(messages().map((message) => message.map(({ id }) => id))).toEqual([[3, 2], [1]]);
    expect(session.inFlight).toBe(0);
  });

  test('splits the answers of one turn at the bound of a message', () => {
    const session = open();
    const big = 6 * 1024 * 1024;
    receive(session, command(put()), command(put()), command(put()));
    const kv = {
      key: KEY,
      value: new Uint8Array(big),
      createRevision: 1,
      modRevision: 1,
      version: 1,
    };
    const answer = encodeAnswer({ type: 'put', revision: 1, prevKv: kv });
    for (const { reply } of service.commands) reply(answer);
    turns.end();
    expect(messages().map((message) => message.map(({ id }) => id))).toEqual([[1, 2], [3]]);
    for (const message of sent) {
      expect(message.length).toBeLessThanOrEqual(API_LIMITS.streamMessageBytesMax);
    }
  });

  test('refuses what is no command with INVALID_ARGUMENT, before it reaches the service', () => {
    const session = open();
    receive(
      session,
      command(Uint8Array.of(0xff, 0xff)),
      command(new Uint8Array(0)),
      command(put()),
    );
    turns.end();
    expect(codes()).toEqual(['INVALID_ARGUMENT', 'INVALID_ARGUMENT']);
    expect(service.commands).toHaveLength(1);
  });

  test('refuses a command beyond the limit with TOO_LARGE, and at the limit not', () => {
    const commandBytesMax = put(100).length;
    const session = open({ commandBytesMax });
    receive(session, command(put(100)), command(put(101)));
    turns.end();
    expect(codes()).toEqual(['TOO_LARGE']);
    expect(service.commands).toHaveLength(1);
  });

  test('refuses requests beyond its bound in flight as OVERLOADED, until answers make room', () => {
    const session = open({ inFlightRequestsMax: 2 });
    receive(session, command(put()), QUERY, command(put()));
    turns.end();
    expect(codes()).toEqual(['OVERLOADED']);
    service.commands[0]?.reply(SKIPPED);
    receive(session, command(put()));
    turns.end();
    expect(service.commands).toHaveLength(2);
    expect(codes()).toEqual(['OVERLOADED', 'ok']);
  });

  test('counts the bytes in flight, too', () => {
    const session = open({ inFlightBytesMax: 150 });
    receive(session, command(put(100)), command(put(100)), command(put(100)));
    turns.end();
    expect(codes()).toEqual(['OVERLOADED']);
    for (const { reply } of service.commands) reply(SKIPPED);
    receive(session, command(put(100)));
    expect(service.commands).toHaveLength(3);
  });

  test('refuses a client that does not read its answers', () => {
    const session = open({ unreadBytesMax: 1000 });
    buffered = 1001;
    receive(session, QUERY);
    turns.end();
    buffered = 1000;
    receive(session, QUERY);
    turns.end();
    expect(codes()).toEqual(['OVERLOADED']);
    expect(service.queries).toHaveLength(1);
  });

  test('refuses a message that it cannot read, and passes nothing of it on', () => {
    const session = open();
    const half = encodeExecuteRequests([{ id: 1, body: command(put()) }]).slice(0, -1);
    expect(() => session.receive(half)).toThrow(DecodeError);
    expect(service.commands).toEqual([]);
  });

  test('that stops answers what is in flight, refuses what is new, and is drained once', () => {
    const session = open();
    receive(session, command(put()));
    session.stop();
    turns.end();
    expect(drained).toBe(0);
    receive(session, command(put()));
    service.commands[0]?.reply(SKIPPED);
    turns.end();
    expect(codes()).toEqual(['STOPPING', 'ok']);
    expect(drained).toBe(1);
  });

  test('that stops with nothing in flight is drained at the end of the turn', () => {
    open().stop();
    expect(drained).toBe(0);
    turns.end();
    expect(drained).toBe(1);
  });

  test('passes on that a query is withdrawn, also when overloaded, until it is answered', () => {
    const session = open({ inFlightRequestsMax: 2 });
    const withdraw = (id: number): void =>
      session.receive(encodeExecuteRequests([{ id, body: { type: 'withdrawal' } }]));
    receive(session, QUERY, QUERY);
    withdraw(2);
    expect(service.withdrawn).toEqual([1]);
    service.queries[1]?.reply(SKIPPED);
    withdraw(2);
    withdraw(99);
    expect(service.withdrawn).toEqual([1]);
    turns.end();
    expect(messages().map((message) => message.map(({ id }) => id))).toEqual([[2]]);
  });

  test('withdraws what waits for a client that is gone', () => {
    const session = open();
    receive(session, QUERY, QUERY);
    service.queries[0]?.reply(SKIPPED);
    session.close();
    expect(service.withdrawn).toEqual([1]);
  });

  test('that is closed sends nothing any more, whatever the service answers', () => {
    const session = open();
    receive(session, command(put()), command(put()));
    service.commands[0]?.reply(SKIPPED);
    session.close();
    service.commands[1]?.reply(SKIPPED);
    turns.end();
    expect(messages()).toEqual([]);
    expect(drained).toBe(0);
  });
});
