import { assert } from '../lib/index.ts';
import type { RaftOptions } from '../raft/index.ts';
import type { WalRecovery } from '../wal/index.ts';
import type { StatePosition } from './state-machine.ts';

/** The part of the core's options that a restart brings. */
export type RaftStart = Pick<
  RaftOptions,
  'confState' | 'hardState' | 'snapshot' | 'entries' | 'applied' | 'rejoinFloorTerm'
>;

/**
 * What the core starts from: the state as its snapshot, and the log behind it. Entries that the
 * state has already are kept too, for slow followers, back to where the configuration in force is
 * known to be that of the state.
 * @throws InvariantViolation when log and state are of different histories.
 */
export function raftStart(durable: StatePosition, recovery: WalRecovery): RaftStart {
  const { hardState, entries, earlierEntries: held, rejoinFloorTerm } = recovery;
  const confState = durable.confState ?? recovery.confState;
  const { index: applied, term } = durable;
  const start = { confState, hardState, applied, rejoinFloorTerm };
  if (applied === 0) return { ...start, snapshot: null, entries };
  const last = held.at(-1);
  assert(last === undefined || (last.index === applied && last.term === term), 'another history', {
    log: last === undefined ? null : { index: last.index, term: last.term },
    state: { index: applied, term },
  });
  const first = held.findLast((entry) => entry.kind === 'confChange') ?? held[0] ?? durable;
  const snapshot = { index: first.index, term: first.term, confState };
  const between = held.filter((entry) => entry.index > first.index);
  return { ...start, snapshot, entries: [...between, ...entries] };
}
