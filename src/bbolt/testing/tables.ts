import { memoryDisk } from '../../io/index.ts';
import { compareBytes, type Prng } from '../../lib/index.ts';
import { viewOf } from '../format.ts';
import { type BoltReader, type BoltRow, writeBolt } from '../index.ts';

/** Buckets by their names, as text that can be compared and read. */
export type Tables = Readonly<Record<string, readonly (readonly [string, string])[]>>;

export type Buckets = Readonly<Record<string, readonly BoltRow[]>>;

/** The bytes of a database with these buckets. */
export async function databaseOf(buckets: Buckets, batchRows = 50): Promise<Uint8Array> {
  const disk = memoryDisk();
  await disk.makeDirectory('/d');
  const file = await disk.open('/d/db', { create: true });
  const names = Object.keys(buckets).sort();
  const { bytes } = await writeBolt(
    file,
    names.map((name) => ({ name: Buffer.from(name), batches: batches(buckets[name], batchRows) })),
  );
  const all = disk.peek('/d/db');
  if (all.length !== bytes) throw new Error(`${all.length} bytes were written, not ${bytes}`);
  return all;
}

function* batches(rows: readonly BoltRow[] = [], size: number): Generator<readonly BoltRow[]> {
  for (let at = 0; at < rows.length; at += size) yield rows.slice(at, at + size);
}

/** Everything that a reader finds. */
export function tablesIn(reader: BoltReader): Tables {
  const tables: Record<string, [string, string][]> = {};
  for (const { name, rows } of reader.buckets()) {
    tables[text(name)] = [...rows()].map(({ key, value }) => [text(key), text(value)]);
  }
  return tables;
}

export function tablesOf(buckets: Buckets): Tables {
  const entries = Object.entries(buckets).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    entries.map(([name, rows]) => [name, rows.map(({ key, value }) => [text(key), text(value)])]),
  );
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** So many rows in order, with lengths up to these. */
export function randomRows(
  prng: Prng,
  { rows, keyBytes, valueBytes }: { rows: number; keyBytes: number; valueBytes: number },
): BoltRow[] {
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => prng.below(256));
  const found = new Map<string, BoltRow>();
  while (found.size < rows) {
    // Most are short, some as long as can be.
    const key = bytes(4 + prng.below(prng.below(20) === 0 ? keyBytes : 12));
    found.set(text(key), { key, value: bytes(prng.below(prng.below(20) === 0 ? valueBytes : 60)) });
  }
  return [...found.values()].sort((a, b) => compareBytes(a.key, b.key));
}

/** What `bolt check` looks at: where the pages of a file of 4,096-byte pages are used. */
export function pageUse(file: Uint8Array): { uses: number[]; branchRowsMin: number } {
  const view = viewOf(file);
  const uses = new Array<number>(file.length / 4096).fill(0);
  let branchRowsMin = Number.POSITIVE_INFINITY;
  const use = (id: number): { flags: number; count: number; at: number } => {
    const at = id * 4096;
    for (let i = 0; i <= view.getUint32(at + 12, true); i++) uses[id + i] = (uses[id + i] ?? 0) + 1;
    return { flags: view.getUint16(at + 8, true), count: view.getUint16(at + 10, true), at };
  };
  const visit = (id: number, isRootBucket: boolean): void => {
    const { flags, count, at } = use(id);
    if (flags === 1) branchRowsMin = Math.min(branchRowsMin, count);
    for (let i = 0; i < count; i++) {
      const row = at + 16 + 16 * i;
      if (flags === 1) visit(Number(view.getBigUint64(row + 8, true)), isRootBucket);
      else if (isRootBucket) {
        const value = row + view.getUint32(row + 4, true) + view.getUint32(row + 8, true);
        visit(Number(view.getBigUint64(value, true)), false);
      }
    }
  };
  use(0);
  use(1);
  use(Number(view.getBigUint64(48, true)));
  visit(Number(view.getBigUint64(32, true)), true);
  return { uses, branchRowsMin };
}
