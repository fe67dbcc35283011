import { expect, test } from 'vitest';
import { Prng, utf8Bytes } from '../lib/index.ts';
import { crc32c } from './crc32c.ts';

test('the sums are those of RFC 3720, appendix B.4', () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
  expect(crc32c(new Uint8Array(0))).toBe(0);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a91_36aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8_ab43);
  expect(crc32c(ascending)).toBe(0x46dd_794e);
  expect(crc32c(ascending.toReversed())).toBe(0x113f_db5c);
  expect(crc32c(utf8Bytes('123456789'))).toBe(0xe306_9283);
});

test('a sum goes on over bytes that come in pieces, wherever they are cut', () => {
  const random = new Prng(1);
  const bytes = Uint8Array.from({ length: 100 }, () => random.below(256));
  const whole = crc32c(bytes);
  for (let cut = 0; cut <= bytes.length; cut++) {
    expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), `at ${cut}`).toBe(whole);
  }
});
