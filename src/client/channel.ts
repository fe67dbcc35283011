import type {
  ExecuteRequest,
  Hello,
  IdentifiedAnswer,
  KvError,
  MemberStatus,
} from '../api/index.ts';
import type { Endpoint } from './endpoint.ts';

/** What a channel tells its owner; never from inside `open`, `send` or `close`. */
export interface ChannelHandlers {
  /** The member's first message: nothing is sent before it. */
  onHello(hello: Hello): void;
  /** Encoded answers, each to the request of that id. */
  onReplies(replies: readonly IdentifiedAnswer[]): void;
  /** The channel ended by itself, once; nothing follows. The error names endpoint and reason. */
  onClose(error: KvError): void;
}

/** One `Execute` stream to one member. */
export interface ClerkChannel {
  /** Sends requests in order, as one message. Only between hello and the end. */
  send(requests: readonly ExecuteRequest[]): void;
  /** Ends the channel at once; no handler is called any more. Twice is safe. */
  close(): void;
}

/** A question on its way that may be called off. */
export interface PendingStatus {
  /** Nobody waits any more: `done` is not called. */
  cancel(): void;
}

/** How the clerk reaches members: HTTP/2 in production, a virtual network in simulations. */
export interface ChannelFactory {
  /** Starts connecting; the outcome arrives at the handlers. The opener bounds the wait. */
  open(endpoint: Endpoint, handlers: ChannelHandlers): ClerkChannel;
  /** Asks one member about itself; `done` is called at most once, not from inside this call. */
  status(endpoint: Endpoint, done: (result: MemberStatus | KvError) => void): PendingStatus;
}
