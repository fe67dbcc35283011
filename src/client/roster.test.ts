import { describe, expect, it } from 'vitest';
import type { Endpoint } from './endpoint.ts';
import { CLERK_LIMITS } from './limits.ts';
import { Roster } from './roster.ts';

const FIRST = { uint32: () => 0, bytes: () => new Uint8Array(16) };

function placeOf(index: number): Endpoint {
  return { host: `m${index}`, port: 1, tls: false };
}

function rosterOf(count: number, discover = true): Roster {
  const endpoints = Array.from({ length: count }, (_, index) => placeOf(index));
  return new Roster({ endpoints, discover, random: FIRST });
}

function rounds(roster: Roster, count: number, nowMs: number): string[] {
  return Array.from({ length: count }, () => {
    const place = roster.next(nowMs);
    roster.used(place);
    return place.text;
  });
}

describe('the roster', () => {
  it('goes round all members, the longest unused one first', () => {
    expect(rounds(rosterOf(3), 5, 0)).toEqual(['m0:1', 'm1:1', 'm2:1', 'm0:1', 'm1:1']);
  });

  it('starts anywhere: many clerks do not all begin at the same member', () => {
    const endpoints = [0, 1, 2].map(placeOf);
    const starts = [0, 1, 2].map((number) => {
      const random = { ...FIRST, uint32: () => number };
      return new Roster({ endpoints, discover: true, random }).next(0).text;
    });
    expect(starts).toEqual(['m0:1', 'm1:1', 'm2:1']);
  });

  it('leaves out who failed lately, unless all did', () => {
    const roster = rosterOf(3);
    roster.failed(roster.next(0), 0);
    expect(rounds(roster, 3, 500)).toEqual(['m1:1', 'm2:1', 'm1:1']);
    expect(rounds(roster, 1, CLERK_LIMITS.failedRecentlyMs)).toEqual(['m0:1']);
    for (let index = 0; index < 3; index++) roster.failed(roster.next(2_000), 2_000);
    expect(new Set(rounds(roster, 3, 2_000)).size).toBe(3);
  });

  it('finds a hinted leader by its id where it said hello, whatever it advertises', () => {
    const roster = rosterOf(3, false);
    const [, second] = [roster.next(0), roster.next(0)];
    roster.met(second, 9n);
    const hint = { memberId: 9n, clientUrls: ['http://elsewhere:5'] };
    expect(roster.find(hint, 0)).toBe(second);
    roster.failed(second, 0);
    expect(roster.find(hint, 10)).toBeNull();
    roster.served(second);
    expect(roster.find(hint, 10)).toBe(second);
  });

  it('learns members from hints only if it may, and skips addresses it cannot use', () => {
    const hint = { memberId: 9n, clientUrls: ['ftp://x:1', 'nonsense', 'http://new:5'] };
    expect(rosterOf(1, false).find(hint, 0)).toBeNull();
    const roster = rosterOf(1);
    expect(roster.find(hint, 0)).toMatchObject({ text: 'new:5', configured: false });
    expect(rounds(roster, 2, 0).sort()).toEqual(['m0:1', 'new:5']);
    expect(roster.find({ memberId: 9n, clientUrls: [] }, 0)).toBeNull();
  });

  it('does not follow a hint out of TLS', () => {
    const endpoints = [{ host: 'm0', port: 1, tls: true }];
    const roster = new Roster({ endpoints, discover: true, random: FIRST });
    const hint = { memberId: 9n, clientUrls: ['http://new:5'] };
    expect(roster.find(hint, 0)).toBeNull();
    const secure = { memberId: 9n, clientUrls: ['http://new:5', 'https://new:5'] };
    expect(roster.find(secure, 0)).toMatchObject({ text: 'https://new:5' });
  });

  it('forgets learnt members rather than growing without bound, never configured ones', () => {
    const roster = rosterOf(2);
    for (let port = 1; port <= 500; port++) {
      const memberId = BigInt(1_000 + port);
      const place = roster.find({ memberId, clientUrls: [`http://new:${port}`] }, 0);
      expect(place?.text).toBe(`new:${port}`);
    }
    const known = new Set(rounds(roster, 1_000, 0));
    expect(known.size).toBe(CLERK_LIMITS.endpointsMax);
    expect([known.has('m0:1'), known.has('m1:1'), known.has('new:500')]).toEqual([
      true,
      true,
      true,
    ]);
  });

  it('a member that moved is looked for at its new address only', () => {
    const roster = rosterOf(2);
    const first = roster.next(0);
    roster.used(first);
    const second = roster.next(0);
    roster.met(first, 5n);
    roster.met(second, 5n);
    expect(roster.find({ memberId: 5n, clientUrls: [] }, 0)).toBe(second);
    expect(first.memberId).toBeNull();
  });
});
