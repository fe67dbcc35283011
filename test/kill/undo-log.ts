import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Kinds of records; numbers as in lossy.c. */
const KINDS = [
  '',
  'write',
  'truncate',
  'sync',
  'writtenThrough',
  'create',
  'rename',
  'unlink',
  'mkdir',
  'rmdir',
  'syncDirectory',
  'fault',
] as const;

const HEADER_BYTES = 72;

/** One record of an undo log: see `struct header` in lossy.c. Bytes and offsets of files. */
export interface UndoRecord {
  readonly type: Exclude<(typeof KINDS)[number], ''>;
  /** Number of the call in its process, from 1; 0 if it is none that counts. */
  readonly call: number;
  /** Growing over all processes that wrote to the same logs, in the order of their starts. */
  readonly sequence: number;
  readonly inode: number;
  readonly offset: number;
  readonly length: number;
  readonly sizeBefore: number;
  /** `sync`: covers records up to this one. `writtenThrough`: this record alone is durable. */
  readonly upto: number;
  readonly path: string;
  /** A rename's new name. */
  readonly path2: string;
  /** What stood there, from the sector of `offset` on; what is missing is zeros. */
  readonly data: Uint8Array;
}

/** Reads the undo logs of processes that ran one after the other, or side by side. */
export function readUndoLogs(side: string): UndoRecord[] {
  const names = readdirSync(side).filter((name) => name.endsWith('.undo'));
  const records: UndoRecord[] = [];
  for (const name of names.sort()) {
    const base = records.at(-1)?.sequence ?? 0;
    for (const record of parse(readFileSync(join(side, name)))) {
      const { sequence, upto } = record;
      records.push({ ...record, sequence: base + sequence, upto: base + upto });
    }
  }
  return records;
}

/** A record that the kill cut short is left out: its change had not begun. */
function* parse(bytes: Buffer): Generator<UndoRecord> {
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const u32 = (offset: number): number => bytes.readUInt32LE(at + offset);
    const u64 = (offset: number): number => Number(bytes.readBigUInt64LE(at + offset));
    const pathAt = at + HEADER_BYTES;
    const path2At = pathAt + u32(56);
    const dataAt = path2At + u32(60);
    const end = dataAt + u32(64);
    if (end > bytes.length) return;
    yield {
      type: KINDS[u32(0)] as UndoRecord['type'],
      call: u32(4),
      sequence: u64(8),
      inode: u64(16),
      offset: u64(24),
      length: u64(32),
      sizeBefore: u64(40),
      upto: u64(48),
      path: bytes.toString('utf8', pathAt, path2At),
      path2: bytes.toString('utf8', path2At, dataAt),
      data: bytes.subarray(dataAt, end),
    };
    at = end;
  }
}
