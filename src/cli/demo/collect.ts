import { setTimeout as sleep } from 'node:timers/promises';
import type { Clerk } from '../../client/index.ts';
import type { ProcessCluster } from '../cluster/index.ts';
import { KEY_PREFIX } from './load.ts';
import type { Held, ReplicaState } from './verify.ts';

/** Keys of one read. */
const PAGE_KEYS = 200;
/** How long the members may take to apply the same entries, milliseconds. */
const AGREE_MS_MAX = 20_000;
const POLL_MS = 100;

/** Every key of the demo and what it holds, by linearizable reads. */
export async function readAll(clerk: Clerk): Promise<Map<string, Held>> {
  const held = new Map<string, Held>();
  let from = KEY_PREFIX;
  for (;;) {
    const to = `${KEY_PREFIX}\u{10ffff}`;
    const { entries, more } = await clerk.range({ from, to }, { limit: PAGE_KEYS });
    for (const { key, value, version } of entries) held.set(key, { text: value, version });
    const last = entries.at(-1);
    if (!more || last === undefined) return held;
    from = `${last.key}\0`;
  }
}

/**
 * What every member says of its state once all have applied the same entries, or after a time
 * that is long enough for that.
 */
export async function readReplicas(
  cluster: ProcessCluster,
  signal: AbortSignal,
): Promise<ReplicaState[]> {
  const endMs = performance.now() + AGREE_MS_MAX;
  for (;;) {
    const replicas: ReplicaState[] = [];
    for (const [member, { appliedIndex, stateHash }] of await cluster.statuses()) {
      replicas.push({ member, appliedIndex, stateHash });
    }
    const indexes = new Set(replicas.map(({ appliedIndex }) => appliedIndex));
    const agreed = replicas.length === cluster.members.size && indexes.size === 1;
    if (agreed || performance.now() > endMs) return replicas;
    await sleep(POLL_MS, undefined, { signal });
  }
}
