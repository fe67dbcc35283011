import type { Bug } from './bug.ts';

/**
 * Mistakes of members that have lost a disk, or got an old one back (decision 0007). Patches, as in
 * inside.ts.
 */
export const LOSS_BUGS: readonly Bug[] = [
  {
    name: 'a member with an empty disk starts as if it were new',
    patches: [
      {
        file: 'server/rejoin.js',
        find: 'if (await hasWal(walPlace(options)))',
        put: 'if (true)',
      },
    ],
  },
  {
    name: 'a member that lost its disk votes before it is brought up',
    patches: [
      {
        file: 'raft/election.js',
        find: 'return rejoinFloorTerm !== null && log.lastTerm <= rejoinFloorTerm;',
        put: 'return false;',
      },
    ],
  },
  {
    name: 'any entry is enough to vote again after a disk was lost',
    patches: [
      {
        file: 'raft/election.js',
        find: 'return rejoinFloorTerm !== null && log.lastTerm <= rejoinFloorTerm;',
        put: 'return rejoinFloorTerm !== null && log.lastTerm === 0;',
      },
    ],
  },
  {
    name: 'the floor is forgotten when a member that lost its disk starts once more',
    patches: [
      {
        file: 'wal/open.js',
        find: 'rejoinFloorTerm: head.rejoinFloorTerm,',
        put: 'rejoinFloorTerm: last(directory, head),',
      },
      {
        file: 'wal/open.js',
        find: 'async function openLocked(',
        // Only the process that rejoins finds the log as it was made.
        put:
          'function last(_, { rejoinFloorTerm, hardState }) { return hardState?.term ===' +
          ' rejoinFloorTerm + 1 && hardState.vote === null ? rejoinFloorTerm : null; }\n' +
          'async function openLocked(',
      },
    ],
  },
  {
    name: 'who lost its disk goes by the lowest term that it hears',
    patches: [
      {
        file: 'server/floor.js',
        find: 'return Math.max(...terms);',
        put: 'return Math.min(...terms);',
      },
    ],
  },
  {
    name: 'one answer is enough for who lost its disk',
    patches: [
      {
        file: 'server/floor.js',
        find: 'if (terms.length < majorityOf(membersMax))',
        put: 'if (terms.length < 1)',
      },
      {
        file: 'server/floor.js',
        find: 'if (needsAll && answers.size < membersMax - 1)',
        put: 'if (false)',
      },
    ],
  },
  {
    name: 'a disk that was set back acknowledges what it had before',
    patches: [
      {
        file: 'raft/follower.js',
        find: 'log.merge(entries.slice(committed));',
        put: 'if (prevLogIndex <= log.lastIndex) log.merge(entries.slice(committed));',
      },
      {
        file: 'raft/follower.js',
        find: 'if (committed === 0 && !log.matches({ index: prevLogIndex, term: prevLogTerm })) {',
        put:
          'if (committed === 0 && prevLogIndex <= log.lastIndex &&' +
          ' !log.matches({ index: prevLogIndex, term: prevLogTerm })) {',
      },
      {
        file: 'raft/log.js',
        find: 'assert(index <= this.lastIndex, LOST_ENTRIES, {',
        put: 'index = Math.min(index, this.lastIndex); assert(true, LOST_ENTRIES, {',
      },
    ],
    run: { members: 3, faults: ['rollBackDisk'] },
  },
];
