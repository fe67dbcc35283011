import { ProtoReader, type ProtoWriter, unreachable } from '../../lib/index.ts';
import type { Query } from '../command.ts';
import { API_LIMITS } from '../limits.ts';
import { readQuery, writeQuery } from './query.ts';
import { MESSAGE_DEPTH_MAX, readNothing, writeMessage } from './writing.ts';

/** One request on the Execute stream. */
export interface ExecuteRequest {
  /** Chosen by the client, unique among what is in flight on the stream. */
  readonly id: number;
  readonly body:
    | { readonly type: 'command'; readonly command: Uint8Array }
    | { readonly type: 'query'; readonly query: Query }
    /** Of the query with that id: it need not wait for changes any longer. Has no answer itself. */
    | { readonly type: 'withdrawal' };
}

/** The encoded `Answer` to the request of that id. */
export interface IdentifiedAnswer {
  readonly id: number;
  readonly answer: Uint8Array;
}

/** Who answers: the first message of an Execute stream. */
export interface Hello {
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

/** One message of the server on the Execute stream. */
export type ExecuteReply =
  | ({ readonly type: 'hello' } & Hello)
  | { readonly type: 'replies'; readonly replies: readonly IdentifiedAnswer[] };

/** Bytes that an answer takes in a message beyond its own: two tags, two lengths, the id. */
export const REPLY_OVERHEAD_BYTES_MAX = 24;

export function encodeExecuteRequests(requests: readonly ExecuteRequest[]): Uint8Array {
  return writeMessage((writer) => {
    for (const request of requests) writeRequest(writer, request);
  });
}

/**
 * Commands are views of `bytes`.
 * @throws DecodeError on bytes that are not an ExecuteRequest, or one of too many requests.
 */
export function decodeExecuteRequests(bytes: Uint8Array): ExecuteRequest[] {
  const reader = new ProtoReader(bytes, MESSAGE_DEPTH_MAX);
  const requests: ExecuteRequest[] = [];
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    if (requests.length === API_LIMITS.streamMessageRequestsMax) {
      throw reader.error('too many requests in one message');
    }
    requests.push(reader.message(readRequest));
  }
  return requests;
}

export function encodeExecuteReplies(replies: readonly IdentifiedAnswer[]): Uint8Array {
  return writeMessage((writer) => {
    for (const reply of replies) {
      const start = writer.begin(1);
      writer.uint(1, reply.id);
      writer.bytes(2, reply.answer);
      writer.end(start);
    }
  });
}

export function encodeHello(hello: Hello): Uint8Array {
  return writeMessage((writer) => {
    const start = writer.begin(2);
    writer.fixed64(1, hello.clusterId);
    writer.fixed64(2, hello.memberId);
    writer.end(start);
  });
}

/**
 * Answers are views of `bytes`.
 * @throws DecodeError on bytes that are not an ExecuteReply, or on `hello` and replies together.
 */
export function decodeExecuteReply(bytes: Uint8Array): ExecuteReply {
  const reader = new ProtoReader(bytes, MESSAGE_DEPTH_MAX);
  const replies: IdentifiedAnswer[] = [];
  let hello: Hello | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        if (replies.length === API_LIMITS.streamMessageRequestsMax) {
          throw reader.error('too many replies in one message');
        }
        replies.push(reader.message(readReply));
        break;
      case 2:
        hello = reader.message(readHello);
        break;
      default:
        reader.skip();
    }
  }
  if (hello === null) return { type: 'replies', replies };
  if (replies.length > 0) throw reader.error('hello together with replies');
  return { type: 'hello', ...hello };
}

function writeRequest(writer: ProtoWriter, request: ExecuteRequest): void {
  const start = writer.begin(1);
  writer.uint(1, request.id);
  switch (request.body.type) {
    case 'command':
      writer.bytesAlways(2, request.body.command);
      break;
    case 'query':
      writeQuery(writer, 3, request.body.query);
      break;
    case 'withdrawal':
      writer.end(writer.begin(4));
      break;
    default:
      unreachable(request.body);
  }
  writer.end(start);
}

function readRequest(reader: ProtoReader): ExecuteRequest {
  let id = 0;
  let body: ExecuteRequest['body'] | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        id = reader.uint();
        break;
      case 2:
        body = { type: 'command', command: reader.bytes() };
        break;
      case 3:
        body = { type: 'query', query: reader.message(readQuery) };
        break;
      case 4:
        reader.message(readNothing);
        body = { type: 'withdrawal' };
        break;
      default:
        reader.skip();
    }
  }
  if (body === null) throw reader.error('request without body');
  return { id, body };
}

function readReply(reader: ProtoReader): IdentifiedAnswer {
  let id = 0;
  let answer: Uint8Array | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        id = reader.uint();
        break;
      case 2:
        answer = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  if (answer === null) throw reader.error('reply without answer');
  return { id, answer };
}

function readHello(reader: ProtoReader): Hello {
  let clusterId = 0n;
  let memberId = 0n;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        clusterId = reader.fixed64();
        break;
      case 2:
        memberId = reader.fixed64();
        break;
      default:
        reader.skip();
    }
  }
  return { clusterId, memberId };
}
