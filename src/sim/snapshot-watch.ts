import type { TransportHandlers } from '../transport/index.ts';
import type { Counters } from './counters.ts';

/** Where a snapshot is that is on its way into a member. */
export type SnapshotPhase = 'receiving' | 'installing';

/** What one process shows of the snapshots that it sends and gets, by its log and its mail. */
export class SnapshotWatch {
  readonly #counters: Counters;
  readonly #isPartitioned: () => boolean;
  readonly #onPhase: (phase: SnapshotPhase) => void;
  /** The transfer whose pieces arrive, `term:id`; null: none. */
  #transfer: string | null = null;
  #receiving = false;
  /** The received state is being put in the place of the own one. */
  #installing = false;
  #installed = 0;

  constructor(options: {
    readonly counters: Counters;
    /** Asked when something was installed: whether the member is cut off from somebody. */
    readonly isPartitioned: () => boolean;
    /** Told when one begins to arrive, and when it begins to take the place of the own state. */
    readonly onPhase: (phase: SnapshotPhase) => void;
  }) {
    this.#counters = options.counters;
    this.#isPartitioned = options.isPartitioned;
    this.#onPhase = options.onPhase;
  }

  /** Snapshots that this process has installed. */
  get installed(): number {
    return this.#installed;
  }

  /** From when it takes the place of the own state to when the log begins behind it. */
  get installing(): boolean {
    return this.#installing;
  }

  /** A line of the process's log. */
  line(message: string): void {
    switch (message) {
      case 'snapshot: sending':
        return this.#counters.add('sometimes: snapshot sent');
      case 'snapshot: receiving':
        this.#receiving = true;
        return this.#onPhase('receiving');
      case 'snapshot: given up':
        return this.#end();
      case 'snapshot: installed':
        this.#installed++;
        this.#counters.add('sometimes: snapshot installed');
        if (this.#isPartitioned())
          this.#counters.add('sometimes: snapshot installed in a partition');
        return this.#end();
      default:
        return;
    }
  }

  /** A file's name is about to change. */
  renaming(path: string): void {
    if (!path.endsWith('/CURRENT') || !this.#receiving) return;
    this.#installing = true;
    this.#onPhase('installing');
  }

  /** The process ends; `logIsBehind`: its state goes further than its log. */
  died(logIsBehind: boolean): void {
    if (!this.#receiving) return;
    this.#counters.add('sometimes: crash while a snapshot arrives');
    if (logIsBehind) this.#counters.add('sometimes: crash between snapshot and log');
  }

  /** Listens to what comes in. */
  listening(handlers: TransportHandlers): TransportHandlers {
    return {
      onMessage: (message) => handlers.onMessage(message),
      onUnreachable: (memberId) => handlers.onUnreachable(memberId),
      onBulk: (message) => {
        if (message.type === 'snapshotChunk')
          this.#arriving(`${message.term}:${message.transferId}`);
        handlers.onBulk(message);
      },
    };
  }

  #arriving(transfer: string): void {
    const isOther = this.#transfer !== null && this.#transfer !== transfer;
    if (isOther && this.#receiving) this.#counters.add('sometimes: second snapshot during one');
    if (isOther && this.#installing) this.#counters.add('sometimes: second snapshot mid-install');
    if (!this.#receiving) this.#transfer = transfer;
  }

  #end(): void {
    this.#receiving = false;
    this.#installing = false;
    this.#transfer = null;
  }
}
