import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLog, systemClock, systemDisk } from '../io/index.ts';
import { openWal, type Wal } from './index.ts';
import {
  append,
  CONF_STATE,
  contents,
  fingerprint,
  IDENTITY,
  manyBatches,
} from './testing/fixture.ts';

test('on the real disk a log keeps its content, its files private, and others out', async () => {
  const root = await mkdtemp(join(tmpdir(), 'quorate-wal-'));
  const directory = join(root, 'member');
  const openHere = (): Promise<Wal> =>
    openWal({
      disk: systemDisk,
      clock: systemClock,
      log: silentLog,
      directory,
      identity: IDENTITY,
      confState: CONF_STATE,
      limits: { segmentBytes: 32 * 1024 },
      onFailure: (error) => {
        throw error;
      },
    });
  try {
    const wal = await openHere();
    await expect(openHere()).rejects.toMatchObject({ code: 'LOCKED' });
    await Promise.all(manyBatches().map((batch) => append(wal, batch)));
    await wal.close();
    const again = await openHere();
    const expected = contents(manyBatches()).at(-1) ?? { hardState: null, entries: [] };
    expect(fingerprint(again.recovery)).toBe(fingerprint(expected));
    await again.close();
    for (const name of await systemDisk.list(join(directory, 'wal'))) {
      const { mode, size } = await stat(join(directory, 'wal', name));
      expect({ mode: mode & 0o777, size }).toEqual({ mode: 0o600, size: 32 * 1024 });
    }
    expect((await stat(join(directory, 'wal'))).mode & 0o777).toBe(0o700);
  } finally {
    await rm(root, { recursive: true });
  }
});
