import type { Bug } from './bug.ts';

/**
 * Mistakes in keeping the state apart from the log, and in moving it whole. Patches, as in
 * inside.ts.
 */
export const SNAPSHOT_BUGS: readonly Bug[] = [
  {
    name: 'the table of sessions is missing from the snapshot',
    patches: [leavingOut('sessions')],
  },
  {
    name: "the state's position is not part of the snapshot",
    patches: [
      leavingOut('position'),
      {
        file: 'server/state.js',
        find: 'if (isStateOf(claimed, found))',
        put: 'if (claimed.clusterId !== null)',
      },
    ],
  },
  {
    name: 'the log does not begin anew behind an installed snapshot',
    patches: [
      {
        file: 'replica/disk-pipeline.js',
        find: 'append(ready, snapshot);',
        put: 'append(ready, null);',
      },
    ],
  },
  {
    name: 'the log is cut before the flush is durable',
    patches: [
      {
        file: 'server/state.js',
        find: 'const position = statePosition(this.#machine.position);',
        put: 'const position = (this.#durable = statePosition(this.#machine.position));',
      },
    ],
    run: { members: 3, faults: ['crashAtCommit', 'powerCut', 'kill'] },
  },
  {
    name: 'the applied index is flushed ahead of the data',
    patches: [
      {
        file: 'store/durable-store.js',
        find: 'this.#engine.commit(flushing.changes(), (error) => {',
        put:
          'const rows = [...flushing.changes()];' +
          " const of = (is) => rows.filter(({ table }) => (table === 'position') === is);" +
          ' const commit = (done) => this.#engine.commit(of(true), (error) =>' +
          ' error === null ? this.#engine.commit(of(false), done) : done(error));' +
          ' commit((error) => {',
      },
    ],
  },
  {
    name: 'reads go on in the old state after another one was installed',
    patches: [
      {
        file: 'server/member.js',
        find: 'machine: () => this.#state.machine,',
        put: 'machine: ((first) => () => first)(this.#state.machine),',
      },
      // Whoever forgets the switch has closed nothing either.
      { file: 'store/state-home.js', find: 'before.close();', put: '' },
      { file: 'store/state-home.js', find: 'await old.engine.close();', put: '' },
    ],
  },
];

/** The stream of a snapshot lacks a table. */
function leavingOut(table: string): NonNullable<Bug['patches']>[number] {
  return {
    file: 'store/snapshot-writer.js',
    find: 'if (table !== null && (row.table !== table',
    put: `if (row.table === '${table}') continue; if (table !== null && (row.table !== table`,
  };
}
