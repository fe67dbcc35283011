import { describe, expect, it } from 'vitest';
import { concatBytes } from '../lib/index.ts';
import { FrameError, FrameReader, frameOf } from './grpc-frames.ts';

const MESSAGES = [0, 1, 4, 5, 6, 1000].map((length) => new Uint8Array(length).fill(length % 251));

describe('gRPC frames', () => {
  it('come out as they went in, however the bytes are cut', () => {
    const bytes = concatBytes(MESSAGES.map(frameOf));
    for (const step of [1, 2, 3, 5, 7, 64, bytes.length]) {
      const reader = new FrameReader(1000);
      const read: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += step) {
        read.push(...reader.push(bytes.subarray(at, at + step)));
      }
      expect(
        read.map((message) => message.slice()),
        `cut every ${step} bytes`,
      ).toEqual(MESSAGES);
      expect(reader.isInside).toBe(false);
    }
  });

  it('a message above the limit is refused by its length alone, at the limit it passes', () => {
    expect(new FrameReader(1000).push(frameOf(new Uint8Array(1000)))).toHaveLength(1);
    const header = frameOf(new Uint8Array(1001)).subarray(0, 5);
    expect(() => new FrameReader(1000).push(header)).toThrow(FrameError);
  });

  it('a compressed message is refused', () => {
    expect(() => new FrameReader(10).push(Uint8Array.of(1, 0, 0, 0, 0))).toThrow(/compressed/);
  });

  it('says whether a frame is unfinished', () => {
    const reader = new FrameReader(10);
    reader.push(Uint8Array.of(0, 0));
    expect(reader.isInside).toBe(true);
  });
});
