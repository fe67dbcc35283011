import type { Bug } from './bug.ts';

/**
 * Mistakes within functions that nothing outside can replace: a few words of the compiled code are
 * others, in a copy that one process runs (patch.ts).
 */
export const INSIDE_BUGS: readonly Bug[] = [
  {
    name: 'entries of an earlier term are committed by counting (Raft, Fig. 8)',
    patches: [
      {
        file: 'raft/replication.js',
        find: 'index <= before || !log.matches({ index, term })',
        put: 'index <= before',
      },
      // One entry a message: else the entry that begins the term travels with those before it.
      {
        file: 'raft/options.js',
        find: 'appendBytesMax: 1024 * 1024',
        put: 'appendBytesMax: 1',
      },
    ],
    run: { members: 3, faults: ['behead'] },
  },
  {
    name: 'a waiting command is matched by its index alone',
    patches: [
      {
        file: 'replica/parked.js',
        find: 'if (entry.term !== applied.term)',
        put: 'if (applied.answers.length < entry.waiters.length)',
      },
      {
        file: 'replica/parked.js',
        find: 'assert(entry.waiters.length === applied.answers.length,',
        put: 'assert(true,',
      },
      {
        file: 'replica/replica.js',
        find: 'if (this.#leads && !leads) {',
        put: 'if (false) {',
      },
    ],
    run: { members: 3, faults: ['isolate', 'oneWay', 'partial', 'behead'] },
  },
  {
    name: 'who waits is told nothing when leadership is lost',
    patches: [
      {
        file: 'replica/replica.js',
        find: 'if (this.#leads && !leads) {',
        put: 'if (false) {',
      },
      {
        file: 'replica/parked.js',
        find: "return refuse(entry, { type: 'leadershipLost', leader: null });",
        put: 'return;',
      },
      {
        file: 'replica/parked.js',
        find: 'if (entry.proposedMs >= deadlineMs)',
        put: 'if (true)',
      },
    ],
    run: { members: 3, faults: ['isolate', 'oneWay', 'partial'] },
  },
  {
    name: 'votes of an earlier term are counted',
    patches: [
      {
        file: 'raft/step.js',
        find: 'if (message.term < state.term) {',
        put: "if (message.term < state.term && message.type !== 'requestVoteReply') {",
      },
      {
        file: 'raft/step.js',
        find: 'if (message.term === state.term)',
        put: 'if (message.term <= state.term)',
      },
    ],
    run: { members: 3, faults: ['lateVotes'] },
  },
  {
    name: 'a confirmed read waits for its state for ever',
    patches: [
      {
        file: 'replica/replica.js',
        find: 'this.#reads.refuseOlderThan(deadlineMs);',
        put: '',
      },
    ],
    run: { members: 3, faults: ['stallDisk', 'isolate'] },
  },
  {
    name: 'an answer to any heartbeat confirms the newest read',
    patches: [
      {
        file: 'raft/read-index.js',
        find: 'if (readAttempt === null)\n        return;',
        put: 'readAttempt = state.readRound;',
      },
    ],
    run: { members: 3, faults: ['echo'] },
  },
  {
    name: 'all read rounds have one number, so that an old answer confirms a new read',
    patches: [{ file: 'raft/read-index.js', find: 'state.readRound++;', put: '' }],
  },
  {
    name: 'whoever is asked for a read index answers with its own',
    patches: [
      {
        file: 'raft/read-index.js',
        find: 'if (role === null)\n        answerRead(state, request, null);',
        put: 'if (role === null) answerRead(state, request, state.log.commitIndex);',
      },
    ],
  },
  {
    name: 'a late append cuts off what follows it',
    patches: [
      {
        file: 'raft/follower.js',
        find: 'log.merge(entries.slice(committed));',
        put: 'log.cutBehind(prevLogIndex + entries.length); log.merge(entries.slice(committed));',
      },
      {
        file: 'raft/log.js',
        find: '    #truncate(from) {',
        put:
          '    cutBehind(index) { if (index >= this.commitIndex && index < this.lastIndex)' +
          ' this.#truncate(index + 1); }\n    #truncate(from) {',
      },
    ],
  },
  {
    name: 'a torn tail is taken for data',
    patches: [
      {
        file: 'wal/scan.js',
        find: 'if (crc32(batch.subarray(BATCH_HEADER_BYTES), at.chain) === header.chain) {',
        put: 'if (batch.length > 0) {',
      },
    ],
    run: { members: 3, faults: ['powerCut', 'powerCutOfAll', 'crashAtStep'] },
  },
  {
    name: 'a bad checksum is taken for a torn tail',
    patches: [
      {
        file: 'wal/scan.js',
        find:
          "return corrupt('the batch is damaged, and it is not the last thing " +
          "that was written');",
        put: "return { kind: 'torn', bytes: writtenBytes(bytes, batch.offset) };",
      },
      {
        file: 'wal/scan.js',
        find: "return corrupt('the batch is damaged, although all of it was written');",
        put: "return { kind: 'torn', bytes: writtenBytes(bytes, batch.offset) };",
      },
    ],
  },
  {
    name: "the log's time is the leader's own clock",
    patches: [
      {
        file: 'replica/log-time.js',
        find: 'return this.#baseMs + Math.max(0, Math.floor(this.#nowMs() - this.#baseAtMs));',
        put: 'return Math.floor(this.#nowMs());',
      },
      {
        file: 'replica/log-time.js',
        find: 'this.#appliedMs = Math.max(this.#appliedMs, stampMs);',
        put: 'this.#appliedMs = stampMs;',
      },
    ],
  },
  {
    name: 'sessions end by the clock of each member',
    patches: [
      {
        file: 'replica/log-time.js',
        find: 'stampMs);\n        return this.#appliedMs;',
        put: 'stampMs); return Math.max(this.#appliedMs, Math.floor(this.#nowMs()));',
      },
    ],
  },
];
