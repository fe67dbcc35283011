import type { Clock, Log } from '../io/index.ts';
import { assert } from '../lib/index.ts';
import type { MemberId, SnapshotMeta } from '../raft/index.ts';
import type { SnapshotChunk, SnapshotChunkReply } from '../transport/index.ts';
import type { SnapshotLimits } from './limits.ts';
import type { Done, SnapshotWriter, StateMachine } from './state-machine.ts';

/*
 * The receiving side of a transfer. Chunks are taken in any order and written one at a time, in
 * order; a chunk is acknowledged once it is written, so a slow disk slows the sender down. The core
 * hears of the snapshot only when everything has arrived and is verified.
 *
 *   (none) ─first chunk─▶ opening ─▶ receiving ⇄ writing ─last─▶ finishing ─▶ installing
 *     ▲                                   │          (verified)                  │  │
 *     │                                   ╰─ overtaken, idle, failed ─╮          │  │
 *     ├──────────────── discarding ◀──────────────────────────────────┴─ ignored ╯  │
 *     ╰────────────────────────────────────────────────────────────────── installed ╯
 *
 * There is one transfer at a time. One of a later term, or a later one of the same leader, puts an
 * end to it, save when it is already installing; its chunks are not answered until the place is
 * free, and come again.
 */
type Phase = 'opening' | 'receiving' | 'writing' | 'finishing' | 'installing' | 'discarding';

type Status = SnapshotChunkReply['status'];

/** A transfer's identity: terms ascend from leader to leader, ids within a leadership. */
interface TransferKey {
  readonly term: number;
  readonly transferId: number;
}

interface Transfer extends TransferKey {
  readonly from: MemberId;
  readonly position: SnapshotMeta;
  phase: Phase;
  writer: SnapshotWriter | null;
  /** Chunks written: the sequence of the next one to write. */
  written: number;
  /** By sequence, ≥ `written`: waiting for the writer, or for those before them. */
  readonly taken: Map<number, SnapshotChunk>;
  takenBytes: number;
  /** Memory of chunks that were written, for the next ones. */
  readonly spare: Uint8Array[];
  /** To be discarded as soon as the writer is free. */
  cancelled: boolean;
  heardMs: number;
}

/** A state that has arrived as a whole and is verified. */
export interface ReceivedSnapshot {
  readonly from: MemberId;
  readonly term: number;
  readonly position: SnapshotMeta;
  install(done: Done): void;
}

/** What the receiver is made of. */
export interface SnapshotReceiverOptions {
  readonly id: MemberId;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Log;
  readonly limits: SnapshotLimits;
  readonly open: StateMachine['receiveSnapshot'];
  readonly send: (reply: SnapshotChunkReply) => void;
  /** Everything is here; `release` must follow. */
  readonly onReceived: (snapshot: ReceivedSnapshot) => void;
  /** Runs what the disk calls back with; a throw in there ends the replica. */
  readonly guard: (run: () => void) => void;
}

/** Receives one state at a time. */
export class SnapshotReceiver {
  readonly #options: SnapshotReceiverOptions;
  #transfer: Transfer | null = null;
  /** The newest transfer that has ended, to answer what comes late or again. */
  #ended: (TransferKey & { readonly status: Status }) | null = null;
  #stopped = false;
  readonly #onIdle: (() => void)[] = [];

  constructor(options: SnapshotReceiverOptions) {
    this.#options = options;
  }

  /** True while a transfer is under way. */
  get active(): boolean {
    return this.#transfer !== null;
  }

  /**
   * The chunk's data are copied before this returns.
   * `term`, `commitIndex`: the core's, which tell what is of no use any more.
   */
  handleChunk(chunk: SnapshotChunk, core: { term: number; commitIndex: number }): void {
    if (this.#stopped) return;
    if (chunk.term < core.term) return this.#answer(chunk, 0, 'refused');
    const transfer = this.#transfer;
    if (transfer !== null) {
      const order = compare(chunk, transfer);
      if (order < 0) return this.#answer(chunk, 0, 'refused');
      if (order === 0) return this.#take(transfer, chunk);
      return this.#cancel(transfer, 'a newer one began');
    }
    const ended = this.#ended;
    const order = ended === null ? 1 : compare(chunk, ended);
    if (order < 0) return this.#answer(chunk, 0, 'refused');
    if (ended !== null && order === 0) return this.#answer(chunk, 0, ended.status);
    if (chunk.sequence > 0) return this.#answer(chunk, 0, 'more');
    // The log has it all already: the leader need only ask.
    if (chunk.position.index <= core.commitIndex) return this.#answer(chunk, 0, 'installed');
    this.#open(chunk);
  }

  /** What became of the received snapshot: part of the state now, or of no use. */
  release(fate: 'installed' | 'ignored'): void {
    const transfer = this.#transfer;
    assert(transfer?.phase === 'installing', 'no snapshot to release');
    if (fate === 'ignored') return this.#discard(transfer, 'installed');
    this.#options.log.info('snapshot: installed', { index: transfer.position.index });
    this.#end(transfer, 'installed');
    this.#reply(transfer, 'installed');
  }

  /** Gives up what nobody goes on sending. */
  tick(): void {
    const transfer = this.#transfer;
    if (transfer === null) return;
    const idleMs = this.#options.clock.nowMs() - transfer.heardMs;
    if (idleMs >= this.#options.limits.idleMs) this.#cancel(transfer, 'nobody goes on sending it');
  }

  /** Takes nothing any more; calls back once nothing is in progress. */
  stop(done: () => void): void {
    this.#stopped = true;
    const transfer = this.#transfer;
    if (transfer === null || transfer.phase === 'installing') return done();
    this.#onIdle.push(done);
    this.#cancel(transfer, 'the replica stops');
  }

  #open(chunk: SnapshotChunk): void {
    const { from, term, transferId, position } = chunk;
    const transfer: Transfer = {
      from,
      term,
      transferId,
      position,
      phase: 'opening',
      writer: null,
      written: 0,
      taken: new Map(),
      takenBytes: 0,
      spare: [],
      cancelled: false,
      heardMs: 0,
    };
    this.#transfer = transfer;
    this.#options.log.info('snapshot: receiving', {
      from: from.toString(16),
      index: position.index,
    });
    this.#take(transfer, chunk);
    this.#options.open((error, writer) => {
      transfer.writer = writer;
      this.#proceed(transfer, error, () => this.#write(transfer));
    });
  }

  /** Takes a chunk if it is new and there is room; a repeated one is told what is awaited. */
  #take(transfer: Transfer, chunk: SnapshotChunk): void {
    transfer.heardMs = this.#options.clock.nowMs();
    if (transfer.cancelled || transfer.phase === 'discarding') return;
    const { taken, takenBytes, written } = transfer;
    if (chunk.sequence < written || taken.has(chunk.sequence)) return this.#reply(transfer, 'more');
    const { receivedBytesMax } = this.#options.limits;
    const fits = takenBytes + chunk.data.length <= receivedBytesMax;
    if (!fits && chunk.sequence !== written) return;
    taken.set(chunk.sequence, { ...chunk, data: copied(chunk.data, transfer.spare) });
    transfer.takenBytes += chunk.data.length;
    if (transfer.phase === 'receiving') this.#write(transfer);
  }

  #write(transfer: Transfer): void {
    transfer.phase = 'receiving';
    const chunk = transfer.taken.get(transfer.written);
    if (chunk === undefined) return;
    if (chunk.data.length === 0) return this.#written(transfer, chunk);
    transfer.phase = 'writing';
    transfer.writer?.write(chunk.data, (error) =>
      this.#proceed(transfer, error, () => this.#written(transfer, chunk)),
    );
  }

  #written(transfer: Transfer, chunk: SnapshotChunk): void {
    transfer.taken.delete(chunk.sequence);
    transfer.spare.push(chunk.data);
    transfer.takenBytes -= chunk.data.length;
    transfer.written++;
    this.#reply(transfer, 'more');
    if (!chunk.last) return this.#write(transfer);
    transfer.phase = 'finishing';
    transfer.writer?.finish((error) =>
      this.#proceed(transfer, error, () => this.#received(transfer)),
    );
  }

  #received(transfer: Transfer): void {
    const { writer, from, term, position } = transfer;
    assert(writer !== null, 'a snapshot without a writer');
    transfer.phase = 'installing';
    const install = (done: Done): void => writer.install(done);
    this.#options.onReceived({ from, term, position, install });
  }

  /** A step of the writer has ended: goes on, unless there is no reason to. */
  #proceed(transfer: Transfer, error: Error | null, next: () => void): void {
    this.#options.guard(() => {
      if (error !== null) {
        const { message } = error;
        this.#options.log.warn('snapshot: given up', { reason: message });
      }
      if (error !== null || transfer.cancelled) this.#discard(transfer, 'refused');
      else next();
    });
  }

  #cancel(transfer: Transfer, reason: string): void {
    if (transfer.cancelled || transfer.phase === 'installing') return;
    if (transfer.phase === 'discarding') return;
    this.#options.log.warn('snapshot: given up', { reason });
    transfer.cancelled = true;
    if (transfer.phase === 'receiving') this.#discard(transfer, 'refused');
  }

  #discard(transfer: Transfer, status: Status): void {
    transfer.phase = 'discarding';
    const { writer } = transfer;
    const ended = (): void => {
      this.#end(transfer, status);
      if (!transfer.cancelled) this.#reply(transfer, status);
    };
    if (writer === null) return ended();
    writer.discard((error) =>
      this.#options.guard(() => {
        if (error !== null) {
          this.#options.log.warn('snapshot: not removed', { reason: error.message });
        }
        ended();
      }),
    );
  }

  #end({ term, transferId }: Transfer, status: Status): void {
    this.#transfer = null;
    this.#ended = { term, transferId, status };
    for (const done of this.#onIdle.splice(0)) done();
  }

  #reply({ from, transferId, written }: Transfer, status: Status): void {
    this.#answer({ from, transferId }, written, status);
  }

  #answer(
    { from, transferId }: Pick<SnapshotChunk, 'from' | 'transferId'>,
    nextSequence: number,
    status: Status,
  ): void {
    if (this.#stopped) return;
    const to = from;
    const { id, send } = this.#options;
    send({ type: 'snapshotChunkReply', from: id, to, transferId, nextSequence, status });
  }
}

/** The bytes in memory of their own: that of a spare one of the same length, or new. */
function copied(bytes: Uint8Array, spare: Uint8Array[]): Uint8Array {
  const target = spare.at(-1);
  if (target?.length !== bytes.length) return bytes.slice();
  spare.pop();
  target.set(bytes);
  return target;
}

function compare(a: TransferKey, b: TransferKey): number {
  return a.term - b.term || a.transferId - b.transferId;
}
