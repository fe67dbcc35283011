import type { Bug } from './bug.ts';

/** What follows the place where a pending command ends because another leader is known. */
const BEHIND = '\n        }\n    }\n    /** Answers';
const LEADER_CHANGED = `this.#end(id, this.#parts.refusals.leadershipLost);${BEHIND}`;

/** Mistakes in passing commands on to whoever leads. Patches, as in inside.ts. */
export const FORWARDING_BUGS: readonly Bug[] = [
  {
    name: 'a command that was passed on is sent again when the leader changes',
    patches: [
      {
        file: 'server/forwarder.js',
        find: LEADER_CHANGED,
        put: `{ this.#pending.delete(id); this.#tryAgain(pending); }${BEHIND}`,
      },
    ],
  },
  {
    name: 'who passed a command on says that it did not happen when the leader changes',
    patches: [
      {
        file: 'server/forwarder.js',
        find: LEADER_CHANGED,
        put: `this.#end(id, this.#parts.refusals.noLeader);${BEHIND}`,
      },
    ],
  },
  {
    name: 'a command that was passed on is never answered when its answer is lost',
    patches: [
      {
        file: 'server/forwarder.js',
        find: 'if (deadlineMs <= nowMs)',
        put: 'if (false)',
      },
      {
        file: 'server/forwarder.js',
        find: LEADER_CHANGED,
        put: `{}${BEHIND}`,
      },
    ],
  },
  {
    name: 'answers to commands that were passed on belong to the next one',
    patches: [
      {
        file: 'server/forwarder.js',
        find: 'answers.push({ id: firstId + i, answer });',
        put: 'answers.push({ id: firstId + commands.length - 1 - i, answer });',
      },
    ],
  },
  {
    name: 'a member answers reads of clients of etcd from its own state',
    patches: [
      {
        file: 'server/service.js',
        find: "if (outcome.type === 'confirmed')\n                    return done(machine()",
        put: "if (outcome.type !== 'stopped')\n                    return done(machine()",
      },
    ],
  },
];
