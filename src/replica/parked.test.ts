import { describe, expect, it } from 'vitest';
import type { ProposeOutcome } from './outcome.ts';
import { ParkedCommands } from './parked.ts';

const LOST = { type: 'leadershipLost', leader: null } as const;
const TIMEOUT = { type: 'timeout' } as const;

/** One entry after another, `commands` in each, proposed a second apart, all of term 1. */
function parkedEntries(commands: readonly number[]) {
  const parked = new ParkedCommands();
  const heard: [at: string, outcome: ProposeOutcome][] = [];
  commands.forEach((count, entry) => {
    const waiters = Array.from({ length: count }, (_, offset) => (outcome: ProposeOutcome) => {
      heard.push([`${entry}.${offset}`, outcome]);
    });
    parked.park({ index: 10 + entry, term: 1, proposedMs: entry * 1000, waiters });
  });
  return { parked, heard };
}

describe('ParkedCommands', () => {
  it('gives every command of an entry its own answer', () => {
    const { parked, heard } = parkedEntries([2, 1]);
    const answers = [Uint8Array.of(1), Uint8Array.of(2)];
    parked.resolve({ index: 10, term: 1, answers });
    expect(heard).toEqual([
      ['0.0', { type: 'applied', answer: answers[0] }],
      ['0.1', { type: 'applied', answer: answers[1] }],
    ]);
    expect(parked.count).toBe(1);
  });

  it('gives no answer of another term', () => {
    const { parked, heard } = parkedEntries([1, 1]);
    parked.resolve({ index: 11, term: 2, answers: [Uint8Array.of(1)] });
    expect(heard).toEqual([['1.0', LOST]]);
    expect(parked.count).toBe(1);
  });

  it('has nothing for entries that nobody waits for', () => {
    const { parked, heard } = parkedEntries([1]);
    parked.resolve({ index: 9, term: 1, answers: [Uint8Array.of(1)] });
    expect(heard).toEqual([]);
  });

  it('refuses all entries that are too old at once, and keeps the younger', () => {
    const { parked, heard } = parkedEntries([1, 2, 1]);
    parked.refuseOlderThan(1001);
    expect(heard).toEqual([
      ['0.0', TIMEOUT],
      ['1.0', TIMEOUT],
      ['1.1', TIMEOUT],
    ]);
    expect(parked.count).toBe(1);
    parked.refuseOlderThan(5000);
    expect(parked.count).toBe(0);
  });

  it('refuses the last entries in one go', () => {
    const { parked, heard } = parkedEntries([1, 2]);
    parked.refuseOlderThan(1001);
    expect(heard.map(([at]) => at)).toEqual(['0.0', '1.0', '1.1']);
    expect(parked.count).toBe(0);
  });

  it('refuses all when leadership is lost, and counts from nothing', () => {
    const { parked, heard } = parkedEntries([1, 3]);
    parked.refuseAll(LOST);
    expect(heard.map(([at]) => at)).toEqual(['0.0', '1.0', '1.1', '1.2']);
    expect(parked.count).toBe(0);
  });

  it('takes a command that is parked while another is refused', () => {
    const { parked } = parkedEntries([]);
    const outcomes: string[] = [];
    parked.park({
      index: 1,
      term: 1,
      proposedMs: 0,
      waiters: [
        () => {
          outcomes.push(`first, ${parked.count} left`);
          parked.park({ index: 3, term: 1, proposedMs: 9000, waiters: [() => {}] });
        },
      ],
    });
    const second = () => outcomes.push(`second, ${parked.count} left`);
    parked.park({ index: 2, term: 1, proposedMs: 0, waiters: [second] });
    parked.refuseOlderThan(1);
    expect(outcomes).toEqual(['first, 0 left', 'second, 1 left']);
    expect(parked.count).toBe(1);
  });
});
