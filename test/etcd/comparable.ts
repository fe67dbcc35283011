/* Answers of a real etcd and of ours in a form in which equal ones are equal, and can be read. */

/** What is the sides' own business. */
const OWN: ReadonlySet<string> = new Set(['raft_term']);

/** The same without what may differ; bytes as text, so that a difference can be read. */
export function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  if (Array.isArray(value)) return ordered(value.map(comparable));
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([name]) => !OWN.has(name));
  return Object.fromEntries(
    entries.map(([name, field]) => [name, name === 'TTL' ? lifeOf(field) : comparable(field)]),
  );
}

/** A value in one line. */
export function shown(value: unknown): string {
  return JSON.stringify(comparable(value), (_name, each) =>
    typeof each === 'bigint' ? each.toString() : each,
  );
}

/** A lease lives, or it does not. */
function lifeOf(ttl: unknown): unknown {
  return typeof ttl === 'number' && ttl > 0 ? 'lives' : ttl;
}

/** Keys that a sort by revision leaves equal come in any order from etcd. */
function ordered(items: unknown[]): unknown[] {
  if (items.every((item) => typeof item === 'string')) return [...items].sort();
  const isKeys = items.every(
    (item) => typeof item === 'object' && item !== null && 'mod_revision' in item,
  );
  if (!isKeys) return items;
  const keys = items as { readonly mod_revision: number; readonly key: string }[];
  const runs: (typeof keys)[] = [];
  for (const item of keys) {
    const run = runs.at(-1);
    if (run?.[0]?.mod_revision === item.mod_revision) run.push(item);
    else runs.push([item]);
  }
  return runs.flatMap((run) => run.sort((a, b) => (a.key < b.key ? -1 : 1)));
}
