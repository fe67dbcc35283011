import type { Clock, Log } from '../io/index.ts';
import type { ConfState, InstallSnapshot, MemberId, SnapshotMeta } from '../raft/index.ts';
import type { SnapshotChunk, SnapshotChunkReply, SnapshotMessage } from '../transport/index.ts';
import type { SnapshotLimits } from './limits.ts';
import type { SnapshotReader } from './state-machine.ts';

/*
 * A leader's side of the transfer of its state (Raft §7). Chunks are numbered and acknowledged by
 * the number of the next one wanted:
 *
 *     taken by the receiver │ sent, kept for resending │ read next
 *   ────────────────────────┼──────────────────────────┼──────────▶
 *                       unacked[0]               nextSequence
 *                           ╰── at most a window ──────╯
 *
 * A transfer survives lost chunks and a broken connection: what stays without an answer is sent
 * again from the first unacknowledged chunk on, the last one until the whole is installed. It fails
 * when the receiver is silent for too long, refuses, or has forgotten what it had taken; then the
 * core is told, and asks for a fresh one.
 */

/** What the sender is made of. */
export interface SnapshotSenderOptions {
  readonly id: MemberId;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Log;
  readonly limits: SnapshotLimits;
  /** The state as it is durable now, see `StateMachine.readSnapshot`. */
  readonly read: (plain: boolean) => SnapshotReader | null;
  /** For a state that knows of no configuration. */
  readonly firstConf: ConfState;
  /** False: not taken, try again later. */
  readonly send: (chunk: SnapshotMessage) => boolean;
  /** How a transfer ended. */
  readonly onEnd: (to: MemberId, delivered: boolean) => void;
  /** Asks for a call of `run` at the end of a turn. */
  readonly schedule: () => void;
}

interface Transfer {
  readonly to: MemberId;
  readonly term: number;
  readonly id: number;
  readonly position: SnapshotMeta;
  readonly reader: SnapshotReader;
  /** In order of their sequence. */
  unacked: SnapshotChunk[];
  unackedBytes: number;
  /** Of `unacked`, those that need not be sent (again) now. */
  sent: number;
  /** Chunks below this sequence were sent again: a copy may still be on its way out. */
  resentBelow: number;
  /** Sequence of the next chunk to read. */
  nextSequence: number;
  /** The last chunk was read. */
  readAll: boolean;
  resendAtMs: number;
  /** Nothing is sent before, because the transport took nothing. */
  pausedUntilMs: number;
  /** Resends since the receiver was last heard. */
  silentResends: number;
  /** Resends since it last took something. */
  vainResends: number;
}

/** A member that the core wants to have a snapshot, and that waits for its turn. */
interface Waiting {
  readonly to: MemberId;
  readonly term: number;
  readonly notBeforeMs: number;
}

/** All transfers of one leadership. */
export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  readonly #transfers = new Map<MemberId, Transfer>();
  #waiting: Waiting[] = [];
  /** Members that refused what they were sent last. */
  readonly #refusals = new Set<MemberId>();
  /** Ends of the waits after failures. */
  readonly #notBeforeMs = new Map<MemberId, number>();
  #lastId = 0;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
  }

  /** Transfers under way. */
  get active(): number {
    return this.#transfers.size;
  }

  /** Receivers need all entries after this index; null when nothing is under way. */
  get neededIndex(): number | null {
    if (this.#transfers.size === 0) return null;
    return Math.min(...[...this.#transfers.values()].map(({ position }) => position.index));
  }

  /**
   * The core wants this member to have a snapshot, at least up to where its log begins. A transfer
   * that is under way goes on unless what it brings is not enough.
   */
  start({ to, term, snapshot }: Pick<InstallSnapshot, 'to' | 'term' | 'snapshot'>): void {
    const running = this.#transfers.get(to);
    if (running !== undefined) {
      if (running.position.index >= snapshot.index) return;
      this.#close(running);
    }
    this.#waiting = this.#waiting.filter((each) => each.to !== to);
    this.#waiting.push({ to, term, notBeforeMs: this.#notBeforeMs.get(to) ?? 0 });
    this.#options.schedule();
  }

  handleReply(reply: SnapshotChunkReply): void {
    const transfer = this.#transfers.get(reply.from);
    if (transfer === undefined || transfer.id !== reply.transferId) return;
    transfer.silentResends = 0;
    if (reply.status === 'installed') return this.#end(transfer, true);
    if (reply.status === 'refused') {
      this.#refusals.add(transfer.to);
      return this.#fail(transfer, 'the receiver refused it');
    }
    const acked = transfer.nextSequence - transfer.unacked.length;
    // Right after progress this is only an answer that comes late.
    if (reply.nextSequence === 0 && acked > 0 && transfer.vainResends > 0) {
      return this.#fail(transfer, 'the receiver has forgotten it');
    }
    // The last chunk stays until the receiver says what became of the whole.
    const count = Math.min(
      reply.nextSequence - acked,
      transfer.unacked.length - (transfer.readAll ? 1 : 0),
    );
    if (count <= 0) return;
    for (const chunk of transfer.unacked.splice(0, count)) {
      transfer.unackedBytes -= chunk.data.length;
      if (chunk.sequence >= transfer.resentBelow) transfer.reader.recycle(chunk.data);
    }
    transfer.sent = Math.max(0, transfer.sent - count);
    transfer.vainResends = 0;
    transfer.resendAtMs = this.#options.clock.nowMs() + this.#options.limits.resendMs;
    this.#options.schedule();
  }

  /** End of a turn: every transfer sends at most one chunk, so that nothing else waits for long. */
  run(): void {
    this.#startWaiting();
    const nowMs = this.#options.clock.nowMs();
    let more = false;
    for (const transfer of this.#transfers.values()) {
      if (transfer.pausedUntilMs > nowMs) continue;
      const chunk = transfer.unacked[transfer.sent] ?? this.#read(transfer);
      if (chunk === null) continue;
      if (this.#options.send(chunk)) transfer.sent++;
      else transfer.pausedUntilMs = nowMs + this.#options.limits.pauseMs;
      more = true;
    }
    if (more) this.#options.schedule();
  }

  /** Time passes: looks for answers that stayed away and for members that are gone. */
  tick(isMember: (id: MemberId) => boolean): void {
    const nowMs = this.#options.clock.nowMs();
    const { resendMs, resendsMax } = this.#options.limits;
    this.#waiting = this.#waiting.filter(({ to }) => isMember(to));
    for (const transfer of [...this.#transfers.values()]) {
      if (!isMember(transfer.to)) this.#close(transfer);
      else if (transfer.unacked.length > 0 && nowMs >= transfer.resendAtMs) {
        if (transfer.silentResends >= resendsMax) this.#fail(transfer, 'the receiver is silent');
        transfer.silentResends++;
        transfer.vainResends++;
        transfer.sent = 0;
        transfer.resentBelow = transfer.nextSequence;
        transfer.resendAtMs = nowMs + resendMs;
      }
    }
    if (this.#transfers.size > 0 || this.#waiting.length > 0) this.#options.schedule();
  }

  /** The leadership is over, or the replica: nothing is sent any more and nobody is told. */
  stop(): void {
    for (const transfer of [...this.#transfers.values()]) this.#close(transfer);
    this.#waiting = [];
    this.#notBeforeMs.clear();
    this.#refusals.clear();
  }

  #startWaiting(): void {
    const nowMs = this.#options.clock.nowMs();
    while (this.#transfers.size < this.#options.limits.transfersMax) {
      const next = this.#waiting.find((each) => each.notBeforeMs <= nowMs);
      const reader = next === undefined ? null : this.#options.read(this.#refusals.has(next.to));
      if (next === undefined || reader === null) return;
      this.#waiting = this.#waiting.filter((each) => each !== next);
      this.#begin(next, reader);
    }
  }

  #begin({ to, term }: Waiting, reader: SnapshotReader): void {
    const { clock, limits, log, firstConf } = this.#options;
    const { index, term: indexTerm, confState } = reader.position;
    const position = { index, term: indexTerm, confState: confState ?? firstConf };
    this.#lastId++;
    log.info('snapshot: sending', { to: to.toString(16), index });
    this.#transfers.set(to, {
      to,
      term,
      id: this.#lastId,
      position,
      reader,
      unacked: [],
      unackedBytes: 0,
      sent: 0,
      resentBelow: 0,
      nextSequence: 0,
      readAll: false,
      resendAtMs: clock.nowMs() + limits.resendMs,
      pausedUntilMs: 0,
      silentResends: 0,
      vainResends: 0,
    });
  }

  /** The next chunk, if it is there and the window has room; the last one is empty. */
  #read(transfer: Transfer): SnapshotChunk | null {
    const { id, clock, limits } = this.#options;
    if (transfer.readAll || transfer.unackedBytes >= limits.windowBytesMax) return null;
    const data = transfer.reader.next();
    if (data === 'later') return null;
    if (transfer.unacked.length === 0) transfer.resendAtMs = clock.nowMs() + limits.resendMs;
    transfer.readAll = data === null;
    const chunk: SnapshotChunk = {
      type: 'snapshotChunk',
      from: id,
      to: transfer.to,
      transferId: transfer.id,
      term: transfer.term,
      position: transfer.position,
      sequence: transfer.nextSequence++,
      last: data === null,
      data: data ?? new Uint8Array(0),
    };
    transfer.unacked.push(chunk);
    transfer.unackedBytes += chunk.data.length;
    return chunk;
  }

  #fail(transfer: Transfer, reason: string): void {
    const { clock, limits, log } = this.#options;
    log.warn('snapshot: not delivered', { to: transfer.to.toString(16), reason });
    this.#notBeforeMs.set(transfer.to, clock.nowMs() + limits.retryMs);
    this.#end(transfer, false);
  }

  #end(transfer: Transfer, delivered: boolean): void {
    this.#close(transfer);
    if (delivered) {
      this.#notBeforeMs.delete(transfer.to);
      this.#refusals.delete(transfer.to);
    }
    this.#options.onEnd(transfer.to, delivered);
    this.#options.schedule();
  }

  #close(transfer: Transfer): void {
    transfer.reader.close();
    this.#transfers.delete(transfer.to);
  }
}
