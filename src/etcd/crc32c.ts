/*
 * CRC-32C (Castagnoli; RFC 3720, appendix B.4), which etcd's hashes are made with. Node has only
 * the other CRC-32. Eight bytes a step ("slicing by 8", Kounavis and Berry 2008).
 */

const POLYNOMIAL = 0x82f6_3b78;
const SLICES = 8;

/** `TABLES[256 n + byte]`: what a byte does to the sum when n more bytes follow it. */
const TABLES = tables();

/** The sum over what `sum` is of, and `bytes` behind it; 0 of nothing. 0 ≤ sum < 2^32. */
export function crc32c(bytes: Uint8Array, sum = 0): number {
  let crc = ~sum;
  let at = 0;
  for (; at + SLICES <= bytes.length; at += SLICES) crc = stepOf8(bytes, at, crc);
  for (; at < bytes.length; at++) {
    crc = (crc >>> 8) ^ table(0, (crc ^ (bytes[at] as number)) & 0xff);
  }
  return ~crc >>> 0;
}

function stepOf8(bytes: Uint8Array, at: number, crc: number): number {
  const byte = (i: number): number => bytes[at + i] as number;
  return (
    table(7, (crc & 0xff) ^ byte(0)) ^
    table(6, ((crc >>> 8) & 0xff) ^ byte(1)) ^
    table(5, ((crc >>> 16) & 0xff) ^ byte(2)) ^
    table(4, (crc >>> 24) ^ byte(3)) ^
    table(3, byte(4)) ^
    table(2, byte(5)) ^
    table(1, byte(6)) ^
    table(0, byte(7))
  );
}

function table(slice: number, byte: number): number {
  return TABLES[256 * slice + byte] as number;
}

function tables(): Int32Array {
  const filled = new Int32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : POLYNOMIAL);
    filled[byte] = crc;
  }
  for (let i = 256; i < filled.length; i++) {
    const before = filled[i - 256] as number;
    filled[i] = (before >>> 8) ^ (filled[before & 0xff] as number);
  }
  return filled;
}
