import type { MemberExit, MemberProcess } from './cluster/index.ts';
import { reasonOf } from './exit.ts';

/** When a dead member is started again. */
const LIMITS = {
  /** Pause before the first new start; doubles with each further one. */
  pauseFirstMs: 250,
  pauseMaxMs: 8_000,
  /** A member that lived so long starts with the first pause again. */
  healthyMs: 30_000,
  /** Short lives in a row after which a member is left alone. */
  startsMax: 8,
} as const;

/** What a supervisor needs of a member. */
export type Supervised = Pick<MemberProcess, 'spec' | 'pid' | 'start'>;

/** What a supervisor has to say, one line each. */
export type Say = (line: string) => void;

/** Starts members again that have died; gives up on one that keeps dying. */
export class Supervisor {
  readonly #say: Say;
  readonly #shortLives = new Map<string, number>();
  readonly #startedMs = new Map<string, number>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #abandoned = new Set<string>();
  #stopping = false;

  constructor(say: Say) {
    this.#say = say;
  }

  /** Members that are not started any more. */
  get abandoned(): ReadonlySet<string> {
    return this.#abandoned;
  }

  /** The member was started just now. */
  started(name: string): void {
    this.#startedMs.set(name, performance.now());
  }

  /** The member's process has ended: says so, and starts it again after a pause. */
  exited(member: Supervised, exit: MemberExit): void {
    if (this.#stopping) return;
    const { name, logPath } = member.spec;
    const livedMs = performance.now() - (this.#startedMs.get(name) ?? 0);
    const shortLives = livedMs > LIMITS.healthyMs ? 1 : (this.#shortLives.get(name) ?? 0) + 1;
    this.#shortLives.set(name, shortLives);
    const how =
      exit.signal === null ? `ended with exit code ${exit.code}` : `was killed (${exit.signal})`;
    if (shortLives > LIMITS.startsMax) {
      this.#abandoned.add(name);
      this.#say(
        `${name} ${how}, ${shortLives} times in a row: it is left alone now; see ${logPath}`,
      );
      return;
    }
    const pauseMs = Math.min(LIMITS.pauseMaxMs, LIMITS.pauseFirstMs * 2 ** (shortLives - 1));
    this.#say(`${name} ${how}; starting it again in ${pauseMs} ms`);
    this.#timers.set(
      name,
      setTimeout(() => void this.#start(member), pauseMs),
    );
  }

  /** Starts nothing any more. */
  stop(): void {
    this.#stopping = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  async #start(member: Supervised): Promise<void> {
    const { name } = member.spec;
    this.started(name);
    try {
      await member.start();
      this.#say(`${name} serves again (pid ${member.pid})`);
    } catch (error) {
      // Its exit has been reported too, and leads to the next try.
      this.#say(reasonOf(error));
    }
  }
}
