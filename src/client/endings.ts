import type { KvError } from '../api/index.ts';
import { Call, type GiveUpReason, type Patience } from './call.ts';
import { CLERK_LIMITS } from './limits.ts';
import { type CommandPlace, givenUpError } from './refusals.ts';
import type { Resolution } from './result.ts';

/** What became of the given-up commands of a session, and who asks for it. */
export class Endings {
  /** Ends that arrived, the newest ones. */
  readonly #known = new Map<number, Resolution>();
  readonly #followers = new Map<number, Set<Call<Resolution>>>();

  /** Somebody waits for an end. */
  get hasFollowers(): boolean {
    return this.#followers.size > 0;
  }

  /** null when it is not known here. */
  get(seq: number): Resolution | null {
    return this.#known.get(seq) ?? null;
  }

  /** Waits for the end of a command that is still open. */
  follow(place: CommandPlace, patience: Patience): Promise<Resolution> {
    const call: Call<Resolution> = new Call<Resolution>(patience, (reason) => {
      this.#unfollow(place.seq, call);
      return givenUpError({
        what: `resolve(${place.seq})`,
        reason,
        call,
        inDoubt: false,
        place,
        trouble: null,
      });
    });
    const calls = this.#followers.get(place.seq) ?? new Set();
    this.#followers.set(place.seq, calls.add(call));
    return call.promise;
  }

  /** A seq came to its end; `remember` it for those who ask later. */
  ended(seq: number, ending: Resolution, remember: boolean): void {
    if (remember) {
      this.#known.set(seq, ending);
      const oldest = this.#known.keys().next();
      if (this.#known.size > CLERK_LIMITS.endingsKept && !oldest.done) {
        this.#known.delete(oldest.value);
      }
    }
    const calls = this.#followers.get(seq);
    if (calls === undefined) return;
    this.#followers.delete(seq);
    for (const call of calls) call.resolve(ending);
  }

  rejectAll(error: KvError): void {
    for (const calls of this.#followers.values()) {
      for (const call of calls) call.reject(error);
    }
    this.#followers.clear();
  }

  giveUpAll(reason: GiveUpReason): void {
    const calls = [...this.#followers.values()].flatMap((waiting) => [...waiting]);
    for (const call of calls) call.giveUp(reason);
  }

  #unfollow(seq: number, call: Call<Resolution>): void {
    const calls = this.#followers.get(seq);
    calls?.delete(call);
    if (calls?.size === 0) this.#followers.delete(seq);
  }
}
