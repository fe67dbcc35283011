import { describe, expect, test } from 'vitest';
import { type Command, encodeCommand, type Operation, type TxnOperation } from '../api/index.ts';
import { silentLog } from '../io/index.ts';
import { utf8Bytes } from '../lib/index.ts';
import { Quota } from './quota.ts';

const KEY = utf8Bytes('k');
const PUT = { type: 'put', key: KEY, value: KEY, prevKv: false } as const;
const DELETE = { type: 'delete', range: { from: KEY, to: null }, prevKv: false } as const;

function encoded(operation: Operation): Uint8Array {
  return encodeCommand({ type: 'operation', session: null, operation });
}

function txn(...success: readonly TxnOperation[]): Operation {
  return { type: 'txn', compares: [], success, failure: [] };
}

function quota(quotaBytes = 1000): { quota: Quota; use: (bytes: number) => void; said: string[] } {
  let used = 0;
  const said: string[] = [];
  const note = (message: string): void => void said.push(message);
  const log = { ...silentLog, info: note, warn: note, error: note };
  const made = new Quota({ quotaBytes, usedBytes: () => used, log });
  const use = (bytes: number): void => {
    used = bytes;
    made.look();
  };
  return { quota: made, use, said };
}

describe('a state at its quota', () => {
  test('takes deletes, compaction and reads, and refuses what may add data', () => {
    const { quota: full, use } = quota();
    use(999);
    expect(full.refuses(encoded(PUT))).toBe(false);
    use(1000);
    const open: Command = { type: 'openSession', name: KEY, nonce: new Uint8Array(16), ttlMs: 1 };
    for (const command of [
      encoded(PUT),
      encoded({ ...PUT, type: 'append' }),
      encodeCommand(open),
    ]) {
      expect(full.refuses(command)).toBe(true);
    }
    for (const operation of [DELETE, { type: 'compact', revision: 5 }, { type: 'skip' }] as const) {
      expect(full.refuses(encoded(operation))).toBe(false);
    }
  });

  test('looks into transactions, however deep', () => {
    const { quota: full, use } = quota();
    use(2000);
    expect(full.refuses(encoded(txn(DELETE)))).toBe(false);
    const inner = txn(DELETE, PUT) as TxnOperation;
    expect(full.refuses(encoded(txn(inner)))).toBe(true);
  });

  test('leaves bytes that are no command to the state machine', () => {
    const { quota: full, use } = quota();
    use(2000);
    expect(full.refuses(Uint8Array.of(255, 255, 255))).toBe(false);
  });

  test('has room again below 95 percent, without a hand, and says each change once', () => {
    const { quota: full, use, said } = quota();
    for (const bytes of [800, 850, 1000, 1500, 990, 960, 949, 940, 700, 10]) use(bytes);
    expect(full.isFull).toBe(false);
    expect(said).toHaveLength(3);
    use(1000);
    expect(full.isFull).toBe(true);
    use(970);
    expect(full.isFull).toBe(true);
    use(949);
    expect(full.isFull).toBe(false);
  });

  test('is never reached when the quota is 0', () => {
    const { quota: none, use } = quota(0);
    use(10 ** 12);
    expect(none.isFull).toBe(false);
  });
});
