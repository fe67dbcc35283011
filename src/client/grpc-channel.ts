import {
  decodeExecuteReply,
  decodeStatus,
  type ExecuteReply,
  encodeExecuteRequests,
  KvError,
  type MemberStatus,
} from '../api/index.ts';
import type { Clock } from '../io/index.ts';
import { DecodeError, EMPTY_BYTES } from '../lib/index.ts';
import type { ChannelFactory, ChannelHandlers, ClerkChannel, PendingStatus } from './channel.ts';
import { type Dial, dialer } from './dial.ts';
import { type Endpoint, endpointText } from './endpoint.ts';
import { GrpcCall, type GrpcIo } from './grpc-call.ts';

/** Channels over gRPC: `quorate.v1.Clerk` on Node's HTTP/2 client. */
export function grpcChannels(clock: Clock, dial: Dial = dialer(undefined)): ChannelFactory {
  const io = { clock, dial };
  return {
    open: (endpoint, handlers) => openExecute(endpoint, io, handlers),
    status: (endpoint, done) => askStatus(endpoint, io, done),
  };
}

function openExecute(endpoint: Endpoint, io: GrpcIo, handlers: ChannelHandlers): ClerkChannel {
  const place = endpointText(endpoint);
  const end = (error: KvError) => {
    call.close();
    handlers.onClose(error);
  };
  const call = new GrpcCall(endpoint, '/quorate.v1.Clerk/Execute', io, {
    onMessage(message) {
      const reply = decoded<ExecuteReply>(place, message, decodeExecuteReply);
      if (reply instanceof KvError) end(reply);
      else if (reply.type === 'hello') handlers.onHello(reply);
      else handlers.onReplies(reply.replies);
    },
    onEnd(error) {
      handlers.onClose(error ?? new KvError('CONNECTION_LOST', `${place}: ended the stream`));
    },
  });
  return {
    send: (requests) => call.send(encodeExecuteRequests(requests)),
    close: () => call.close(),
  };
}

function askStatus(
  endpoint: Endpoint,
  io: GrpcIo,
  done: (result: MemberStatus | KvError) => void,
): PendingStatus {
  const place = endpointText(endpoint);
  let result: MemberStatus | KvError = new KvError('BAD_PEER', `${place}: no status in the answer`);
  const call = new GrpcCall(endpoint, '/quorate.v1.Clerk/Status', io, {
    onMessage(message) {
      result = decoded<MemberStatus>(place, message, decodeStatus);
    },
    onEnd: (error) => done(error ?? result),
  });
  call.send(EMPTY_BYTES);
  call.endSending();
  return { cancel: () => call.close() };
}

function decoded<T>(
  place: string,
  message: Uint8Array,
  decode: (bytes: Uint8Array) => T,
): T | KvError {
  try {
    return decode(message);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const said = `${place}: unreadable message: ${error.message}`;
    return new KvError('BAD_PEER', said, { cause: error });
  }
}
