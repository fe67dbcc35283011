import type { Bug } from './bug.ts';

/** Mistakes that cost no answer: what is not given back, not counted, or said too often. */
export const RESOURCE_BUGS: readonly Bug[] = [
  {
    name: 'a timer goes on after everything was closed',
    patches: [
      {
        file: 'server/divergence.js',
        find: 'this.#closed = true;\n        this.#timer?.cancel();',
        put: 'this.#closed = true;',
      },
    ],
  },
  {
    name: 'a log that is closed leaves its file open',
    patches: [{ file: 'wal/segmented-wal.js', find: 'await this.#active.file.close();', put: '' }],
  },
  {
    name: 'a leader sends heartbeats with every tick',
    patches: [
      {
        file: 'raft/leader.js',
        find: 'if (state.tick - role.heartbeatTick >= state.settings.heartbeatTicks)',
        put: 'if (true)',
      },
    ],
  },
  {
    name: 'bytes of commands that were passed on stay counted when they are answered',
    patches: [
      { file: 'server/forwarder.js', find: 'this.#bytes -= pending.command.length;', put: '' },
    ],
  },
];
