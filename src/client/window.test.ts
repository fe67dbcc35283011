import { describe, expect, it } from 'vitest';
import { Fifo } from './fifo.ts';
import { SeqWindow, type Slot } from './window.ts';

function sendAll(window: SeqWindow<string>): Slot<string>[] {
  const sent: Slot<string>[] = [];
  for (let slot = window.nextToSend(); slot !== null; slot = window.nextToSend()) {
    window.markSent(slot);
    sent.push(slot);
  }
  return sent;
}

function seqs(slots: readonly Slot<string>[]): number[] {
  return slots.map(({ seq }) => seq);
}

describe('the window of seqs under way', () => {
  it('counts on from the last executed seq, without a gap', () => {
    const window = new SeqWindow<string>(41);
    expect([window.answeredSeq, window.nextSeq]).toEqual([41, 42]);
    expect([window.add('a').seq, window.add('b').seq]).toEqual([42, 43]);
    expect(seqs(sendAll(window))).toEqual([42, 43]);
  });

  it('counts as answered only what is answered without a gap', () => {
    const window = new SeqWindow<string>(0);
    for (const item of 'abcd') window.add(item);
    const [a, b, c] = sendAll(window) as [Slot<string>, Slot<string>, Slot<string>];
    window.answer(b);
    window.answer(c);
    expect([window.answeredSeq, window.size, window.span]).toEqual([0, 2, 4]);
    window.answer(a);
    expect([window.answeredSeq, window.size, window.span]).toEqual([3, 1, 1]);
  });

  it('after a refusal waits until all attempts are back, then sends from the gap', () => {
    const window = new SeqWindow<string>(0);
    for (const item of 'abcd') window.add(item);
    const [a, b, c, d] = sendAll(window) as Slot<string>[] as [
      Slot<string>,
      Slot<string>,
      Slot<string>,
      Slot<string>,
    ];
    window.answer(a);
    window.takeBack(b, false);
    window.add('e');
    expect([window.blocked, window.nextToSend()]).toEqual([true, null]);
    window.takeBack(c, true);
    window.answer(d);
    expect(window.blocked).toBe(false);
    expect(seqs(sendAll(window))).toEqual([2, 3, 5]);
    expect([b.doubt, c.doubt]).toEqual([false, true]);
  });

  it('doubt stays, however the later attempts end', () => {
    const window = new SeqWindow<string>(0);
    const slot = window.add('a');
    sendAll(window);
    window.takeBack(slot, true);
    sendAll(window);
    window.takeBack(slot, false);
    expect(slot.doubt).toBe(true);
  });

  it('refuses to be told nonsense', () => {
    const window = new SeqWindow<string>(0);
    const [a, b] = [window.add('a'), window.add('b')];
    expect(() => window.markSent(b)).toThrow(/out of order/);
    expect(() => window.answer(a)).toThrow(/without being sent/);
    expect(() => window.takeBack(a, false)).toThrow(/without being sent/);
  });
});

describe('the fifo', () => {
  it('gives out in the order of arrival, whatever is mixed in between', () => {
    const fifo = new Fifo<number>();
    const out: number[] = [];
    for (let round = 0, next = 0; round < 500; round++) {
      for (let count = 0; count < 1 + (round % 5); count++) fifo.push(next++);
      for (let count = 0; count < 1 + (round % 4); count++) {
        const item = fifo.shift();
        if (item !== null) out.push(item);
      }
    }
    out.push(...fifo.drain());
    expect(out).toEqual(out.map((_, index) => index));
    expect([fifo.length, fifo.peek(), fifo.shift()]).toEqual([0, null, null]);
  });

  it('takes items in front, and drops unwanted ones once they are the most', () => {
    const fifo = new Fifo<number>();
    for (let item = 0; item < 100; item++) fifo.push(item);
    fifo.shift();
    fifo.unshift([-2, -1]);
    expect([fifo.length, fifo.peek()]).toEqual([101, -2]);
    fifo.compact(90, (item) => item % 10 === 0);
    expect(fifo.length).toBe(101);
    fifo.compact(10, (item) => item % 10 === 0);
    expect(fifo.drain()).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90]);
  });
});
