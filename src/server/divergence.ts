import type { Clock, Log, Timer } from '../io/index.ts';
import { equalBytes } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import { StoreError } from '../store/index.ts';
import type { StateHash } from '../transport/index.ts';

/** Every so many entries all members look at their state. */
const POINT_ENTRIES = 16;
/** Points that are remembered: the members are seldom further apart. */
const POINTS_MAX = 4096;
/** How often the newest point is told to the others. */
const TELL_MS = 1_000;

export interface DivergenceParts {
  readonly memberId: MemberId;
  readonly voters: readonly MemberId[];
  readonly clock: Clock;
  readonly log: Log;
  /** Hash over the state as it is now, hexadecimal. */
  readonly stateHash: () => string;
  readonly send: (message: StateHash) => void;
  /** This member holds another state than a majority of the others at the same place. */
  readonly onDiverged: (finding: StoreError) => void;
}

/** The state after some entry. */
interface Point {
  readonly index: number;
  readonly hash: Uint8Array;
}

/**
 * Compares the members' states while they run. Equal logs must give equal states; where they do
 * not (a bug, a bit that flipped in memory or on disk), whoever stands against a majority stops
 * rather than answer from it, and the others say whom they disagree with.
 */
export class Divergence {
  readonly #parts: DivergenceParts;
  /** Own points, oldest first. */
  readonly #own = new Map<number, Uint8Array>();
  /** What the others said and this member has not reached yet. */
  readonly #ahead = new Map<MemberId, Point>();
  readonly #agrees = new Map<MemberId, boolean>();
  #newest: Point | null = null;
  #told = 0;
  #timer: Timer | null = null;
  #closed = false;

  constructor(parts: DivergenceParts) {
    this.#parts = parts;
    if (parts.voters.length > 1) this.#arm();
  }

  /** Voters whose last comparable state was another one than this member's. */
  get disagreeing(): readonly MemberId[] {
    return [...this.#agrees].filter(([, agrees]) => !agrees).map(([id]) => id);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** The state holds the entry at `index` now. */
  applied(index: number): void {
    if (this.#closed || index % POINT_ENTRIES !== 0 || this.#parts.voters.length === 1) return;
    const hash = Uint8Array.from(Buffer.from(this.#parts.stateHash(), 'hex'));
    this.#own.set(index, hash);
    this.#newest = { index, hash };
    for (const oldest of this.#own.keys()) {
      if (this.#own.size <= POINTS_MAX) break;
      this.#own.delete(oldest);
    }
    for (const [from, point] of this.#ahead) {
      if (point.index > index || this.#closed) continue;
      this.#ahead.delete(from);
      this.#compare(from, point);
    }
  }

  /** Another member tells how its state looks. */
  receive({ from, index, hash }: StateHash): void {
    if (this.#closed || !this.#parts.voters.includes(from)) return;
    if (index > (this.#newest?.index ?? 0)) this.#ahead.set(from, { index, hash });
    else this.#compare(from, { index, hash });
  }

  #compare(from: MemberId, { index, hash }: Point): void {
    const own = this.#own.get(index);
    if (own === undefined) return;
    const agrees = equalBytes(own, hash);
    const before = this.#agrees.get(from) ?? true;
    this.#agrees.set(from, agrees);
    if (agrees) return;
    const { log, voters, onDiverged } = this.#parts;
    const member = from.toString(16);
    if (before) log.error('alarm: a member holds another state than this one', { member, index });
    const others = this.disagreeing.length;
    if (others * 2 <= voters.length) return;
    this.close();
    // So that they know too, who may not have compared yet.
    this.#tell({ index, hash: own });
    onDiverged(
      new StoreError(
        'CORRUPT',
        `this member's state at entry ${index} is not that of ${others} others: it stops. ` +
          'Start it again: it does not use this state any more, and fetches theirs',
      ),
    );
  }

  #arm(): void {
    this.#timer = this.#parts.clock.setTimer(TELL_MS, () => {
      const point = this.#newest;
      if (point !== null && point.index !== this.#told) this.#tell(point);
      if (!this.#closed) this.#arm();
    });
  }

  #tell(point: Point): void {
    this.#told = point.index;
    const { memberId, voters, send } = this.#parts;
    for (const to of voters) {
      if (to !== memberId) send({ type: 'stateHash', from: memberId, to, ...point });
    }
  }
}
