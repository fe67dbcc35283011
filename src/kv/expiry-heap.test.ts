import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExpiryHeap } from './expiry-heap.ts';

test('gives entries in order of deadline, and of id on a tie', () => {
  const entry = fc.tuple(fc.nat(20), fc.nat(50));
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 100 }), (entries) => {
      const heap = new ExpiryHeap<number>();
      for (const [deadlineMs, id] of entries) heap.push(deadlineMs, id);
      expect(heap.size).toBe(entries.length);
      const popped: [number | null, number | null][] = [];
      while (heap.size > 0) popped.push([heap.nextDeadlineMs, heap.pop()]);
      expect(popped).toEqual([...entries].sort((a, b) => a[0] - b[0] || a[1] - b[1]));
      expect([heap.nextDeadlineMs, heap.pop()]).toEqual([null, null]);
    }),
  );
});
