import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Answer,
  decodeCommand,
  decodeExecuteReply,
  decodeStatus,
  encodeAnswer,
  encodeCommand,
  encodeExecuteRequests,
} from '../api/index.ts';
import { messageType, schema } from '../api/testing/schema.ts';
import { createGrpcServer, type GrpcServer } from '../grpc/index.ts';
import { TestClient } from '../grpc/testing/client.ts';
import { silentLog, systemClock } from '../io/index.ts';
import { clerkMethods } from './clerk-service.ts';
import { TestService, testStatus } from './testing/service.ts';

const CLERK = '/quorate.v1.Clerk';
const SKIP = { type: 'operation', session: null, operation: { type: 'skip' } } as const;

let service: TestService;
let grpc: GrpcServer;
let client: TestClient;
let stop: () => Promise<void>;
const defects: Error[] = [];

beforeEach(async () => {
  defects.length = 0;
  service = new TestService();
  grpc = createGrpcServer({
    methods: clerkMethods({ service, clock: systemClock }),
    log: silentLog,
    limits: { lingerMs: 20 },
    onDefect: (error) => defects.push(error),
  });
  const listener = createServer((socket) => grpc.handleSocket(socket)).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  client = new TestClient((listener.address() as AddressInfo).port);
  stop = async () => {
    await client.close();
    await grpc.close();
    await new Promise((resolve) => listener.close(resolve));
  };
});

afterEach(async () => {
  await stop();
  expect(defects).toEqual([]);
});

function answerAll(answer: Answer): void {
  service.onArrival = () => {
    service.commands.at(-1)?.reply(encodeAnswer(answer));
    service.queries.at(-1)?.reply(encodeAnswer(answer));
  };
}

function encoded(name: string, object: Record<string, unknown>): Uint8Array {
  return messageType(name).encode(object).finish();
}

describe('quorate.v1.Clerk', () => {
  test('has a method for every rpc of the .proto file, and no other', () => {
    const methods = clerkMethods({ service, clock: systemClock });
    const declared = schema.lookupService('quorate.v1.Clerk').methodsArray;
    expect([...methods.keys()].sort()).toEqual(
      declared.map(({ name }) => `${CLERK}/${name}`).sort(),
    );
    for (const { name, requestStream, responseStream } of declared) {
      const type = requestStream === true && responseStream === true ? 'bidi' : 'unary';
      expect(methods.get(`${CLERK}/${name}`)?.type).toBe(type);
    }
  });

  test('Execute: hello, then answers by id, then OK when the client ends', async () => {
    answerAll({ type: 'skip' });
    const call = client.open(`${CLERK}/Execute`);
    const command = encodeCommand(SKIP);
    call.send(encodeExecuteRequests([{ id: 7, body: { type: 'command', command } }]));
    call.stream.end();
    const finished = await call.finished;
    expect(finished.status).toBe(0);
    expect(finished.messages.map(decodeExecuteReply)).toEqual([
      { type: 'hello', clusterId: 0xc1n, memberId: 0xa1n },
      { type: 'replies', replies: [{ id: 7, answer: encodeAnswer({ type: 'skip' }) }] },
    ]);
  });

  test('Execute: hello comes before the client has said anything', async () => {
    const call = client.open(`${CLERK}/Execute`);
    const [hello] = await call.received(1);
    expect(decodeExecuteReply(hello ?? new Uint8Array(0)).type).toBe('hello');
  });

  test('Execute: a malformed message ends just its stream, with INVALID_ARGUMENT', async () => {
    const call = client.open(`${CLERK}/Execute`);
    call.send(Uint8Array.of(0xff, 0xff, 0xff));
    const finished = await call.finished;
    expect(finished.status).toBe(3);
    expect(finished.grpcMessage).toContain('malformed message');
    expect((await client.unary(`${CLERK}/Status`, new Uint8Array(0))).status).toBe(0);
  });

  test('Execute: a closing server answers what is in flight, then UNAVAILABLE', async () => {
    const call = client.open(`${CLERK}/Execute`);
    const arrived = new Promise<void>((resolve) => {
      service.onArrival = resolve;
    });
    const command = encodeCommand(SKIP);
    call.send(encodeExecuteRequests([{ id: 1, body: { type: 'command', command } }]));
    await arrived;
    const closing = grpc.close();
    service.commands[0]?.reply(encodeAnswer({ type: 'skip' }));
    const finished = await call.finished;
    await closing;
    expect(finished.messages).toHaveLength(2);
    expect(finished.status).toBe(14);
  });

  test('OpenSession and CloseSession are commands', async () => {
    const opened = { sessionId: 5, incarnation: 2, resumed: true, lastSeq: 3, ttlMs: 1000 };
    answerAll({ type: 'openSession', ...opened, lastAnswer: null });
    const nonce = new Uint8Array(16).fill(1);
    const request = encoded('OpenSession', { name: Buffer.from('me'), nonce, ttlMs: 1000 });
    const answer = await client.unary(`${CLERK}/OpenSession`, request);
    const result = messageType('OpenSessionResult').decode(answer.messages[0] ?? new Uint8Array(0));
    expect(result.toJSON()).toMatchObject({ sessionId: '5', incarnation: '2', resumed: true });
    expect(service.commands.map(({ command }) => decodeCommand(command))).toEqual([
      { type: 'openSession', name: new TextEncoder().encode('me'), nonce, ttlMs: 1000 },
    ]);

    answerAll({ type: 'closeSession' });
    const close = encoded('CloseSession', { sessionId: 5, incarnation: 2 });
    expect(await client.unary(`${CLERK}/CloseSession`, close)).toMatchObject({
      status: 0,
      messages: [new Uint8Array(0)],
    });
  });

  test('Resolve is a linearizable read', async () => {
    answerAll({ type: 'resolve', state: 'acknowledged', answer: null });
    const request = encoded('ResolveRequest', { sessionId: 5, seq: 9 });
    const answer = await client.unary(`${CLERK}/Resolve`, request);
    const result = messageType('ResolveResult').decode(answer.messages[0] ?? new Uint8Array(0));
    expect(result.toJSON()).toEqual({ state: 'ACKNOWLEDGED' });
    expect(service.queries[0]?.query).toEqual({
      serializable: false,
      query: { type: 'resolve', sessionId: 5, seq: 9 },
    });
  });

  test('Status is the member as it sees itself', async () => {
    const answer = await client.unary(`${CLERK}/Status`, new Uint8Array(0));
    expect(decodeStatus(answer.messages[0] ?? new Uint8Array(0))).toEqual(testStatus());
  });

  test('an error answer is a status of the error table, code and leader are trailers', async () => {
    const leader = { memberId: 1n, clientUrls: ['http://a:1', 'http://b:2'] };
    answerAll({ type: 'error', code: 'NOT_LEADER', message: 'ask the leader', leader });
    const request = encoded('OpenSession', { nonce: new Uint8Array(16) });
    const answer = await client.unary(`${CLERK}/OpenSession`, request);
    expect(answer).toMatchObject({ status: 14, grpcMessage: 'ask the leader', messages: [] });
    expect(answer.trailers['quorate-code']).toBe('NOT_LEADER');
    expect(answer.trailers['quorate-leader']).toBe('http://a:1,http://b:2');

    answerAll({ type: 'error', code: 'SESSION_FENCED', message: '', leader: null });
    const fenced = await client.unary(`${CLERK}/CloseSession`, new Uint8Array(0));
    expect(fenced).toMatchObject({ status: 10, grpcMessage: null });
    expect(fenced.trailers).not.toHaveProperty('quorate-leader');
  });

  test('a malformed unary request is INVALID_ARGUMENT', async () => {
    for (const name of ['OpenSession', 'CloseSession', 'Resolve']) {
      const answer = await client.unary(`${CLERK}/${name}`, Uint8Array.of(0x0d));
      expect(answer.status, name).toBe(3);
    }
  });
});
