import { connect, createServer, type Server, type Socket } from 'node:net';
import { Flow } from './flow.ts';

/**
 * What a link does with bytes.
 *
 * `open`: carries them. `reset`: breaks every connection at once, new ones too. `silent`: carries
 * nothing and breaks nothing, as a network that drops packets: bytes wait in the senders, and go on
 * after `heal`. `dropReplies`: requests arrive, their answers are lost; `heal` then breaks the
 * connections that lost some.
 */
export type LinkMode = 'open' | 'reset' | 'silent' | 'dropReplies';

/** What passed through a link since it was opened. */
export interface LinkCounts {
  readonly connections: number;
  /** Bytes delivered towards the target. */
  readonly requestBytes: number;
  /** Bytes delivered back to who dialled. */
  readonly replyBytes: number;
  /** Bytes lost by `dropReplies`. */
  readonly droppedReplyBytes: number;
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  readonly request: Flow;
  readonly reply: Flow;
}

/**
 * One directed link between two processes as a TCP proxy that can be cut, healed and slowed down.
 *
 *      dialler ──► near │ LinkProxy │ far ──► target        request flow
 *              ◄──      │           │     ◄──               reply flow
 */
export class LinkProxy {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<Pair>();
  #mode: LinkMode = 'open';
  #delayMs = 0;
  #connections = 0;
  #requestBytes = 0;
  #replyBytes = 0;
  #droppedReplyBytes = 0;

  private constructor(server: Server, target: { host: string; port: number }) {
    this.#server = server;
    this.#target = target;
    server.on('connection', (near) => this.#accept(near));
  }

  /** Opens a link to `target` on a free port of the loopback interface. */
  static async open(target: { host: string; port: number }): Promise<LinkProxy> {
    const server = createServer({ allowHalfOpen: true });
    const proxy = new LinkProxy(server, target);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  /** Where to dial instead of the target: `http://127.0.0.1:PORT`. */
  get url(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the link is closed');
    return `http://127.0.0.1:${address.port}`;
  }

  get mode(): LinkMode {
    return this.#mode;
  }

  get counts(): LinkCounts {
    return {
      connections: this.#connections,
      requestBytes: this.#requestBytes,
      replyBytes: this.#replyBytes,
      droppedReplyBytes: this.#droppedReplyBytes,
    };
  }

  /** Breaks the link; see `LinkMode`. */
  cut(mode: Exclude<LinkMode, 'open'>): void {
    this.#mode = mode;
    if (mode === 'reset') this.resetConnections();
    this.#updateFlows();
  }

  /** Carries bytes again. */
  heal(): void {
    this.#mode = 'open';
    for (const pair of this.#pairs) if (pair.reply.droppedBytes > 0) reset(pair);
    this.#updateFlows();
  }

  /** Holds every byte back for this long, each way; 0 for none. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Breaks the open connections (TCP RST); new ones are as the mode says. */
  resetConnections(): void {
    for (const pair of this.#pairs) reset(pair);
  }

  /** Breaks everything and stops listening. Safe to call twice. */
  async close(): Promise<void> {
    this.resetConnections();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #accept(near: Socket): void {
    near.on('error', () => {}); // 'close' follows, and that is where the pair ends
    if (this.#mode === 'reset') {
      near.resetAndDestroy();
      return;
    }
    this.#connections++;
    const far = connect({ ...this.#target, allowHalfOpen: true });
    far.on('error', () => {}); // 'close' follows
    near.setNoDelay(true);
    far.setNoDelay(true);
    const pair: Pair = {
      near,
      far,
      request: new Flow(near, far, {
        delayMs: () => this.#delayMs,
        onDelivered: (bytes) => {
          this.#requestBytes += bytes;
        },
      }),
      reply: new Flow(far, near, {
        delayMs: () => this.#delayMs,
        onDelivered: (bytes) => {
          this.#replyBytes += bytes;
        },
        onDropped: (bytes) => {
          this.#droppedReplyBytes += bytes;
        },
      }),
    };
    this.#pairs.add(pair);
    for (const socket of [near, far]) {
      socket.on('close', () => {
        if (!this.#pairs.delete(pair)) return;
        const orderly = pair.request.finished && pair.reply.finished;
        if (!orderly) reset(pair);
      });
    }
    this.#updateFlows();
  }

  #updateFlows(): void {
    for (const { request, reply } of this.#pairs) {
      request.setState(this.#mode === 'silent' ? 'held' : 'flowing');
      if (this.#mode === 'dropReplies') reply.setState('dropping');
      else reply.setState(this.#mode === 'silent' ? 'held' : 'flowing');
    }
  }
}

function reset({ near, far, request, reply }: Pair): void {
  request.stop();
  reply.stop();
  for (const socket of [near, far]) if (!socket.destroyed) socket.resetAndDestroy();
}
