import type { Connection } from '../io/index.ts';
import { idText, type TransportContext } from './context.ts';
import type { Frame } from './frame.ts';
import { type CloseReason, FramedConnection } from './framed.ts';
import { type Hello, REJECT_ADVICE, type Reject, type Welcome } from './handshake.ts';
import { laneOf, SendQueue, type SendResult } from './send-queue.ts';
import type { PeerMessage } from './types.ts';

/** What an accepted connection tells the transport. */
export interface InboundEvents {
  /** Decides on the caller. */
  onHello(hello: Hello): Welcome | Reject;
  /** The caller was welcomed. */
  onOpen(hello: Hello): void;
  onMessage(hello: Hello, message: PeerMessage): void;
  onClose(): void;
}

/**
 * A connection that somebody opened to us.
 *
 * `greeting` ── hello ──► `open` | `rejected` ──► `closed`
 *
 * After a reject the caller closes; if it does not, silence does.
 */
export class Inbound {
  /** What the caller said; null before. */
  hello: Hello | null = null;
  readonly #context: TransportContext;
  readonly #events: InboundEvents;
  readonly #framed: FramedConnection;
  #state: 'greeting' | 'open' | 'rejected' = 'greeting';
  /** Answers to a guest; null until the first. */
  #queue: SendQueue | null = null;

  constructor(context: TransportContext, connection: Connection, events: InboundEvents) {
    this.#context = context;
    this.#events = events;
    this.#framed = new FramedConnection(context, connection, {
      onOpen: () => {},
      onFrame: (frame) => this.#handleFrame(frame),
      onDrain: () => this.flush(),
      onClose: (reason) => {
        this.#queue?.clear();
        this.#logClose(reason);
        this.#events.onClose();
      },
    });
  }

  /** The handshake is complete and the connection lives. */
  get open(): boolean {
    return this.#state === 'open' && !this.#framed.closed;
  }

  start(): void {
    this.#framed.start();
  }

  /** Queues an answer to a guest; `flush` sends. */
  push(message: PeerMessage): SendResult {
    this.#queue ??= new SendQueue(this.#context, 'control');
    return this.#queue.push(message);
  }

  flush(): void {
    this.#queue?.flush(this.#framed);
  }

  tick(silentTicksMax: number): void {
    // Before the handshake only its own deadline counts.
    this.#framed.tick(this.#state === 'greeting' ? Number.MAX_SAFE_INTEGER : silentTicksMax);
  }

  close(reason: CloseReason): void {
    this.#framed.close(reason);
  }

  #handleFrame(frame: Frame): void {
    if (this.#state === 'greeting' && frame.kind === 'hello') return this.#handleHello(frame);
    if (this.#state === 'open' && frame.kind === 'message' && this.hello !== null) {
      if (laneOf(frame.message) !== this.hello.lane) {
        return this.#framed.refuse('message on the wrong lane');
      }
      return this.#events.onMessage(this.hello, frame.message);
    }
    this.#framed.refuse(`${frame.kind} while ${this.#state}`);
  }

  #handleHello(hello: Hello): void {
    this.hello = hello;
    const answer = this.#events.onHello(hello);
    this.#framed.write(this.#context.writer.handshake(answer), 1);
    if (answer.kind === 'reject') {
      this.#state = 'rejected';
      return this.#logReject(hello, answer);
    }
    this.#state = 'open';
    this.#framed.greeted(this.#context.frameBytesMax(hello.lane));
    this.#context.counters.handshakesCompleted++;
    this.#events.onOpen(hello);
  }

  #logReject(hello: Hello, reject: Reject): void {
    this.#context.counters.rejectionsSent++;
    const caller = idText(hello.from);
    const key = `reject ${caller} ${reject.code}`;
    this.#context.log.error(key, `handshake of a caller rejected: ${reject.code}`, {
      remote: this.#framed.remote,
      caller,
      callerName: hello.info.name,
      callerCluster: idText(hello.clusterId),
      wanted: idText(hello.to),
      advice: REJECT_ADVICE[reject.code],
    });
  }

  #logClose(reason: CloseReason): void {
    const { log } = this.#context;
    const { remote, firstBytes } = this.#framed;
    if (this.hello !== null) {
      const peer = idText(this.hello.from);
      const fields = { remote, peer, lane: this.hello.lane, reason: reason.text };
      if (reason.kind !== 'badFrame') return log.debug('connection of peer closed', fields);
      return log.error(`bad frame ${peer}`, 'peer sent a bad frame', fields);
    }
    // A probe of the port that says nothing is no trouble.
    if (reason.kind === 'shutdown' || (reason.kind === 'ended' && firstBytes === null)) return;
    const key = `stranger ${reason.kind} ${hostOf(remote)}`;
    log.warn(key, 'connection closed: no peer at the other end', {
      remote,
      reason: reason.text,
      guess: guessProtocol(firstBytes),
      advice: 'this port is for members of the cluster; clients use the client port',
    });
  }
}

function hostOf(remote: string): string {
  return remote.slice(0, remote.lastIndexOf(':'));
}

/** Names what reached the peer port by mistake, for the log. */
export function guessProtocol(firstBytes: Uint8Array | null): string {
  if (firstBytes === null) return 'nothing was sent';
  if (firstBytes[0] === 0x16 && firstBytes[1] === 0x03) return 'TLS';
  const text = String.fromCharCode(...firstBytes);
  if (text.startsWith('PRI * HTTP/2')) return 'HTTP/2';
  if (/^(GET|PUT|POST|HEAD|DELETE|OPTIONS|PATCH|CONNECT) /.test(text)) return 'HTTP/1';
  if (text.startsWith('SSH-')) return 'SSH';
  return 'unknown bytes';
}
