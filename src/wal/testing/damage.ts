import { LogReader } from '../log-reader.ts';
import { DATA, fingerprint, IDENTITY } from './fixture.ts';

/** A log's segments, from the first to the last. */
export type Segments = readonly Uint8Array[];

/** What reading a log, whose first segment has the number `first`, comes to: its content. */
export function readSegments(segments: Segments, first = 1): string {
  const reader = new LogReader(`${DATA}/wal`, IDENTITY);
  segments.forEach((bytes, i) => {
    reader.read(first + i, bytes);
  });
  const { head, content } = reader.finish();
  return fingerprint({ hardState: head.hardState, entries: content.entries });
}

/** The segments with one of them changed by `damage`, which gets a copy of it. */
export function damaged(
  segments: Segments,
  segment: number,
  damage: (bytes: Uint8Array) => Uint8Array | undefined,
): Segments {
  return segments.map((bytes, i) => {
    if (i !== segment) return bytes;
    const copy = bytes.slice();
    return damage(copy) ?? copy;
  });
}
