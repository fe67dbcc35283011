import type { LeaderHint } from '../api/index.ts';
import type { Random } from '../io/index.ts';
import { assert } from '../lib/index.ts';
import { type Endpoint, endpointText, tryParseEndpoint } from './endpoint.ts';
import { CLERK_LIMITS } from './limits.ts';

/** A member's address and what this clerk has seen there. */
export interface Place {
  readonly endpoint: Endpoint;
  /** `host:port`. */
  readonly text: string;
  /** Given by the application; others were learnt from hints and may be forgotten. */
  readonly configured: boolean;
  /** Who said hello there last; null before. */
  memberId: bigint | null;
  /** Order of its last use; null for never. */
  usedAt: number | null;
  /** When it last failed, monotonic milliseconds; null for never or since forgiven. */
  failedAtMs: number | null;
}

/** The members a clerk knows, and whom to ask next. */
export class Roster {
  readonly #places = new Map<string, Place>();
  readonly #discover: boolean;
  /** The application wants TLS: no hint leads away from it. */
  readonly #tlsOnly: boolean;
  #uses = 0;

  /** `discover`: may go to members outside `endpoints` that a hint names. */
  constructor(options: {
    readonly endpoints: readonly Endpoint[];
    readonly discover: boolean;
    readonly random: Random;
  }) {
    assert(options.endpoints.length > 0, 'a roster needs an endpoint');
    this.#discover = options.discover;
    this.#tlsOnly = options.endpoints.every(({ tls }) => tls);
    // A random start spreads many clerks over the members; the leader's hint brings them together.
    const start = options.random.uint32() % options.endpoints.length;
    const rotated = [...options.endpoints.slice(start), ...options.endpoints.slice(0, start)];
    for (const endpoint of rotated) this.#add(endpoint, true);
  }

  /** Whom to ask when nobody is known to lead: not lately failed first, then longest unused. */
  next(nowMs: number): Place {
    let best: Place | null = null;
    for (const place of this.#places.values()) {
      if (best === null || this.#before(place, best, nowMs)) best = place;
    }
    assert(best !== null, 'the roster is empty');
    return best;
  }

  /** Where the hinted leader is; null when unknown, unusable or lately failed. */
  find(hint: LeaderHint, nowMs: number): Place | null {
    for (const place of this.#places.values()) {
      if (place.memberId === hint.memberId) return this.#healthy(place, nowMs) ? place : null;
    }
    if (!this.#discover) return null;
    for (const url of hint.clientUrls) {
      const endpoint = tryParseEndpoint(url);
      if (endpoint === null || (this.#tlsOnly && !endpoint.tls)) continue;
      const place = this.#places.get(endpointText(endpoint)) ?? this.#add(endpoint, false);
      if (this.#healthy(place, nowMs)) return place;
    }
    return null;
  }

  /** It is being asked now. */
  used(place: Place): void {
    place.usedAt = ++this.#uses;
  }

  /** This member answers there; an address has one member, and a member one address that counts. */
  met(place: Place, memberId: bigint): void {
    for (const other of this.#places.values()) {
      if (other.memberId === memberId) other.memberId = null;
    }
    place.memberId = memberId;
  }

  /** It could not be reached, fell silent or spoke nonsense. */
  failed(place: Place, nowMs: number): void {
    place.failedAtMs = nowMs;
  }

  /** It served. */
  served(place: Place): void {
    place.failedAtMs = null;
  }

  #healthy(place: Place, nowMs: number): boolean {
    return place.failedAtMs === null || nowMs - place.failedAtMs >= CLERK_LIMITS.failedRecentlyMs;
  }

  #before(a: Place, b: Place, nowMs: number): boolean {
    const healthyA = this.#healthy(a, nowMs);
    if (healthyA !== this.#healthy(b, nowMs)) return healthyA;
    return (a.usedAt ?? 0) < (b.usedAt ?? 0);
  }

  #add(endpoint: Endpoint, configured: boolean): Place {
    const text = endpointText(endpoint);
    if (this.#places.size >= CLERK_LIMITS.endpointsMax) this.#forgetOne();
    const place: Place = {
      endpoint,
      text,
      configured,
      memberId: null,
      usedAt: null,
      failedAtMs: null,
    };
    this.#places.set(text, place);
    return place;
  }

  /** Drops the oldest place that the application did not give. */
  #forgetOne(): void {
    for (const place of this.#places.values()) {
      if (place.configured) continue;
      this.#places.delete(place.text);
      return;
    }
  }
}
