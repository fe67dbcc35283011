import type { Address, Timer } from '../io/index.ts';
import { assert } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import { idText, type TransportContext } from './context.ts';
import type { Frame } from './frame.ts';
import { type CloseReason, FramedConnection } from './framed.ts';
import {
  checkWelcome,
  helloOf,
  type Lane,
  REJECT_ADVICE,
  type RejectCode,
  type Welcome,
} from './handshake.ts';
import { laneOf, SendQueue, type SendResult } from './send-queue.ts';
import type { PeerMessage } from './types.ts';

const UNREACHED = 'peer cannot be reached';

/** What an outbound connection tells the transport. */
export interface OutboundEvents {
  onWelcome(welcome: Welcome): void;
  onMessage(message: PeerMessage): void;
  /** An established connection, or one with messages waiting for it, was lost. */
  onLost(): void;
}

/**
 * Our side of one lane to one peer: dials, greets, sends, and dials again after every loss.
 *
 * `waiting` ── wake() ──► `dialling` ── welcome ──► `open`
 *     ▲                       │                        │
 *     └──────── backoff ──────┴──── any loss ──────────┘
 *
 * The bulk lane is for rare use: woken, it becomes `idle`, dials when a message comes, and goes
 * back to `idle` when none has come for a while. `close()` ends every state in `closed`.
 */
export class Outbound {
  readonly memberId: MemberId;
  readonly lane: Lane;
  /** The process at the other end while open; null otherwise. */
  incarnation: bigint | null = null;
  readonly #context: TransportContext;
  /** Not empty; tried in turn while nobody answers. */
  readonly #addresses: readonly Address[];
  readonly #events: OutboundEvents;
  readonly #queue: SendQueue;
  #state: 'waiting' | 'idle' | 'dialling' | 'open' | 'closed' = 'waiting';
  /** Which of the addresses is in use; grows with every failed attempt. */
  #attempt = 0;
  #framed: FramedConnection | null = null;
  #retry: Timer | null = null;
  /** Losses in a row; a connection that lasted `backoffMaxMs` ends the row. */
  #losses = 0;
  #openedAtMs = 0;
  /** Ticks since the last message came, or was under way; only the bulk lane counts them. */
  #idleTicks = 0;

  constructor(
    context: TransportContext,
    target: { memberId: MemberId; addresses: readonly Address[]; lane: Lane },
    events: OutboundEvents,
  ) {
    this.#context = context;
    this.memberId = target.memberId;
    this.lane = target.lane;
    assert(target.addresses.length > 0, 'peer without an address');
    this.#addresses = target.addresses;
    this.#events = events;
    this.#queue = new SendQueue(context, target.lane);
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** Ends a wait: there is reason to believe that the peer answers now. */
  wake(): void {
    if (this.#state !== 'waiting') return;
    this.#retry?.cancel();
    this.#retry = null;
    if (this.lane === 'bulk') this.#state = 'idle';
    else this.#dial();
  }

  #dial(): void {
    this.#state = 'dialling';
    this.#idleTicks = 0;
    const { network, writer, self } = this.#context;
    const framed = new FramedConnection(this.#context, network.connect(this.#address()), {
      onOpen: () => {
        framed.write(writer.handshake(helloOf(self, this.memberId, this.lane)), 1);
      },
      onFrame: (frame) => this.#handleFrame(framed, frame),
      onDrain: () => this.flush(),
      onClose: (reason) => this.#lose(reason),
    });
    this.#framed = framed;
    framed.start();
  }

  /** Queues; `flush` sends. While dialling, messages wait for the outcome; after a loss they go. */
  push(message: PeerMessage): SendResult {
    if (this.#state === 'idle') this.#dial();
    this.#idleTicks = 0;
    if (this.#state === 'dialling' || this.#state === 'open') return this.#queue.push(message);
    this.#context.counters.droppedUnconnected++;
    return 'unconnected';
  }

  flush(): void {
    if (this.#state === 'open' && this.#framed !== null) this.#queue.flush(this.#framed);
  }

  tick(silentTicksMax: number): void {
    this.#framed?.tick(silentTicksMax);
    if (this.lane === 'bulk' && this.#state === 'open') this.#tickIdle();
  }

  #tickIdle(): void {
    const { bulkIdleMs, keepAliveMs } = this.#context.limits;
    const sending = this.#framed?.writable === false;
    this.#idleTicks = sending ? 0 : this.#idleTicks + 1;
    if (this.#idleTicks * keepAliveMs < bulkIdleMs) return;
    this.#framed?.close({ kind: 'idle', text: 'nothing more to send' });
  }

  /** The process at the other end is gone: leaves the connection to it and dials its successor. */
  reopen(): void {
    this.#framed?.close({ kind: 'replaced', text: 'the peer was restarted' });
    this.wake();
  }

  close(reason: CloseReason): void {
    this.#state = 'closed';
    this.#retry?.cancel();
    this.#retry = null;
    this.#framed?.close(reason);
    this.#queue.clear();
  }

  #handleFrame(framed: FramedConnection, frame: Frame): void {
    if (this.#state === 'open') {
      if (frame.kind !== 'message') return framed.refuse(`${frame.kind} after the handshake`);
      if (laneOf(frame.message) !== this.lane) return framed.refuse('message on the wrong lane');
      return this.#events.onMessage(frame.message);
    }
    if (frame.kind === 'reject') return this.#decline(framed, frame.code, frame.text);
    if (frame.kind !== 'welcome') return framed.refuse(`${frame.kind} before the welcome`);
    const wrong = checkWelcome(frame, this.#context.self, this.memberId);
    if (wrong !== null) return this.#decline(framed, wrong, 'checked the welcome');
    this.#handleWelcome(framed, frame);
  }

  #handleWelcome(framed: FramedConnection, welcome: Welcome): void {
    const { counters, log, clock } = this.#context;
    framed.greeted(this.#context.frameBytesMax(this.lane));
    this.#state = 'open';
    this.#openedAtMs = clock.nowMs();
    this.incarnation = welcome.incarnation;
    counters.handshakesCompleted++;
    log.forget(`${UNREACHED} ${idText(this.memberId)}`);
    const level = this.lane === 'control' ? 'info' : 'debug';
    log[level]('connected to peer', { ...this.#where(), name: welcome.info.name });
    this.#events.onWelcome(welcome);
    this.flush();
  }

  #decline(framed: FramedConnection, code: RejectCode, text: string): void {
    const { counters, log } = this.#context;
    counters.rejectionsReceived++;
    const key = `rejected ${idText(this.memberId)} ${code}`;
    log.error(key, `peer rejected the handshake: ${code}`, {
      ...this.#where(),
      text,
      advice: REJECT_ADVICE[code],
    });
    framed.close({ kind: 'rejected', text: code });
  }

  #lose(reason: CloseReason): void {
    const wasOpen = this.#state === 'open';
    const dropped = this.#queue.clear();
    this.#framed = null;
    this.incarnation = null;
    if (this.#state === 'closed') return;
    if (reason.kind === 'idle') {
      this.#state = 'idle';
      return;
    }
    this.#state = 'waiting';
    this.#logLoss(reason, wasOpen);
    if (!wasOpen) this.#attempt++;
    const { clock, limits } = this.#context;
    if (wasOpen && clock.nowMs() - this.#openedAtMs >= limits.backoffMaxMs) this.#losses = 0;
    this.#retry = clock.setTimer(this.#backoffMs(), () => this.wake());
    this.#losses++;
    if (wasOpen || dropped > 0) this.#events.onLost();
  }

  #logLoss(reason: CloseReason, wasOpen: boolean): void {
    if (reason.kind === 'rejected') return;
    const { log } = this.#context;
    const fields = { ...this.#where(), reason: reason.text };
    if (reason.kind === 'replaced') return log.debug('connection to peer left', fields);
    const trouble = wasOpen ? 'connection to peer lost' : UNREACHED;
    log.warn(`${trouble} ${idText(this.memberId)}`, `${trouble}; trying again`, fields);
  }

  /** Doubles from `backoffMinMs` to `backoffMaxMs`; of that a random half to the whole. */
  #backoffMs(): number {
    const { backoffMinMs, backoffMaxMs } = this.#context.limits;
    const whole = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(this.#losses, 30));
    return whole * (0.5 + this.#context.random.uint32() / 2 ** 33);
  }

  #address(): Address {
    return this.#addresses[this.#attempt % this.#addresses.length] as Address;
  }

  #where(): { peer: string; lane: Lane; address: string } {
    const { host, port } = this.#address();
    return { peer: idText(this.memberId), lane: this.lane, address: `${host}:${port}` };
  }
}
