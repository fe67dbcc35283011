import { crc32 } from 'node:zlib';

/** Any payload in a frame with right checksums, built by hand: what a peer with a bug sends. */
export function rawFrame(payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(12 + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, payload.length, true);
  view.setUint32(4, crc32(payload), true);
  view.setUint32(8, crc32(frame.subarray(0, 8)), true);
  frame.set(payload, 12);
  return frame;
}
