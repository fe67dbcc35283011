import type { CloseSession, OpenSession, SessionRef } from '../api/index.ts';
import { bytesKey } from '../lib/index.ts';

/** Shortest and longest idle life of a session, milliseconds of log time (docs/SESSIONS.md). */
const TTL_MS_MIN = 1_000;
const TTL_MS_MAX = 31 * 24 * 60 * 60 * 1_000;
/** Nonces that a named session remembers besides its newest. */
const OLD_NONCES_MAX = 16;

interface Session {
  readonly name: string;
  incarnation: number;
  lastSeq: number;
  ackedSeq: number;
  activityMs: number;
  ttlMs: number;
  /** Of its incarnations, newest first; none for one without a name. */
  nonces: string[];
}

/**
 * Which commands of the log are executed, by the rules of sessions and by nothing that members
 * do: the next seq of the incarnation in force, while the session lives in log time.
 */
export class ReplaySessions {
  readonly #sessions = new Map<number, Session>();
  /** Ids by name, or by nonce. */
  readonly #names = new Map<string, number>();
  #nextId = 1;
  #timeMs = 0;

  /** Log time goes on, and never back. */
  advanceTo(timeMs: number): void {
    this.#timeMs = Math.max(this.#timeMs, timeMs);
  }

  open({ name, nonce, ttlMs }: OpenSession): void {
    const nonceText = bytesKey(nonce);
    const known = name.length === 0 ? `nonce ${nonceText}` : `name ${bytesKey(name)}`;
    const session = this.#living(this.#names.get(known) ?? 0);
    const lifeMs = Math.min(Math.max(ttlMs, TTL_MS_MIN), TTL_MS_MAX);
    if (session === null) return this.#create(known, { nonceText, lifeMs });
    if (name.length > 0) {
      const position = session.nonces.indexOf(nonceText);
      if (position > 0) return;
      if (position < 0) {
        session.nonces = [nonceText, ...session.nonces.slice(0, OLD_NONCES_MAX)];
        session.incarnation++;
        session.ttlMs = lifeMs;
      }
    }
    session.activityMs = this.#timeMs;
  }

  close({ sessionId, incarnation }: CloseSession): void {
    const session = this.#living(sessionId);
    if (session?.incarnation !== incarnation) return;
    this.#sessions.delete(sessionId);
    this.#names.delete(session.name);
  }

  /** Whether a command is executed now; if so, its seq is used up. */
  executes({ sessionId, incarnation, seq, ackedSeq }: SessionRef): boolean {
    const session = this.#living(sessionId);
    if (session === null || incarnation !== session.incarnation) return false;
    if (seq <= session.ackedSeq || seq > session.lastSeq + 1) return false;
    session.ackedSeq = Math.max(session.ackedSeq, ackedSeq);
    session.activityMs = this.#timeMs;
    if (seq <= session.lastSeq) return false;
    session.lastSeq = seq;
    return true;
  }

  #create(name: string, { nonceText, lifeMs }: { nonceText: string; lifeMs: number }): void {
    const id = this.#nextId++;
    this.#names.set(name, id);
    this.#sessions.set(id, {
      name,
      incarnation: 1,
      lastSeq: 0,
      ackedSeq: 0,
      activityMs: this.#timeMs,
      ttlMs: lifeMs,
      nonces: [nonceText],
    });
  }

  #living(id: number): Session | null {
    const session = this.#sessions.get(id);
    if (session === undefined) return null;
    return session.activityMs + session.ttlMs > this.#timeMs ? session : null;
  }
}
