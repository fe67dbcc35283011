import { expect, test } from 'vitest';
import { DiskError } from '../io/index.ts';
import { StoreError, storeError } from './error.ts';

test.each([
  [new DiskError('ENOSPC', '/f'), 'FULL'],
  [new DiskError('EDQUOT', '/f'), 'FULL'],
  [lmdbError(28, 'No space left on device'), 'FULL'],
  [lmdbError(-30792, 'MDB_MAP_FULL'), 'FULL'],
  [lmdbError(-30796, 'MDB_CORRUPTED'), 'CORRUPT'],
  [lmdbError(-30797, 'MDB_PAGE_NOTFOUND'), 'CORRUPT'],
  [lmdbError(-30794, 'MDB_VERSION_MISMATCH'), 'VERSION'],
  [lmdbError(-30795, 'MDB_PANIC'), 'IO'],
  [lmdbError(5, 'Input/output error'), 'IO'],
  [new DiskError('EIO', '/f'), 'IO'],
  [new DiskError('ELOCKED', '/f'), 'LOCKED'],
  ['anything else', 'IO'],
])('%s means %s, and the message names the file', (cause, code) => {
  const error = storeError(cause, '/data/state/1.lmdb');
  expect(error).toMatchObject({ code, cause, file: '/data/state/1.lmdb' });
  expect(error.message).toContain('/data/state/1.lmdb');
});

test('a StoreError is passed on as it is', () => {
  const error = new StoreError('FULL', 'full');
  expect(storeError(error, '/f')).toBe(error);
});

/** As the package lmdb makes them. */
function lmdbError(code: number, message: string): Error {
  return Object.assign(new Error(message), { code });
}
