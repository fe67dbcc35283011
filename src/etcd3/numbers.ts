/** What an opening says of its session. */
export interface OpenedSession {
  /** `ID/INCARNATION` */
  readonly token: string;
  /** The last number that is used up; 0 for none. */
  readonly lastSeq: number;
}

/** The numbers of one incarnation of a session: each is given to one write. */
export class Numbers {
  readonly token: string;
  /** A newer client took the session over: nothing of it will run. */
  isFenced = false;
  #last: number;
  /** Up to here all are used up, and their answers have arrived. */
  #acked: number;
  /** Used up above that. */
  readonly #ended = new Set<number>();

  constructor({ token, lastSeq }: OpenedSession) {
    this.token = token;
    this.#last = lastSeq;
    this.#acked = lastSeq;
  }

  /** The next one; whoever has it sees to it that it is used up. */
  take(): number {
    return ++this.#last;
  }

  /** All answers up to this number are here, those of `seq` and later ones aside. */
  ackedBelow(seq: number): number {
    return Math.min(this.#acked, seq - 1);
  }

  /** The number is used up, and nobody will ask for its answer again. */
  end(seq: number): void {
    this.#ended.add(seq);
    while (this.#ended.delete(this.#acked + 1)) this.#acked++;
  }
}
