import { describe, expect, test } from 'vitest';
import { bytesKey } from '../../lib/index.ts';
import { KEY_BYTES_MAX } from '../limits.ts';
import type { Change, Engine, Engines } from '../types.ts';

/** An empty place for engines, and how to leave it. */
export interface EnginePlace {
  readonly engines: Engines;
  readonly directory: string;
  leave(): Promise<void>;
}

/** What every `Engine` promises, as tests; `enter` makes an empty place. */
export function testEngine(name: string, enter: () => Promise<EnginePlace>): void {
  describe(`Engine: ${name}`, () => {
    testCommits(enter);
    testViews(enter);
    testLifetimes(enter);
  });
}

function testCommits(enter: () => Promise<EnginePlace>): void {
  test('a commit is read when its done was called, not before, and after opening again', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      const committed = commit(engine, [put('t', 'a', '1'), put('u', 'a', '2')]);
      expect(get(engine, 't', 'a')).toBeNull();
      expect(engine.count('t', everything)).toBe(0);
      await committed;
      expect([get(engine, 't', 'a'), get(engine, 'u', 'a')]).toEqual(['1', '2']);
      expect(engine.count('t', everything)).toBe(1);
      await engine.close();
      const again = await engines.open(path);
      expect([get(again, 't', 'a'), get(again, 'u', 'a')]).toEqual(['1', '2']);
      await commit(again, [remove('t', 'a'), remove('t', 'never'), put('v', '', '')]);
      expect(rowsOf(again)).toEqual(['u/a=2', 'v/=']);
      await again.close();
    }));

  test('done is never called before commit has returned, also for no change at all', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      let returned = false;
      const error = await new Promise((resolve) => {
        engine.commit([], (result) => resolve(returned ? result : 'too early'));
        returned = true;
      });
      expect(error).toBeNull();
      await engine.close();
    }));

  test('what is committed may be changed by its owner as soon as commit has returned', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      const key = text('key');
      const value = text('value');
      const committed = commit(engine, [{ table: 't', key, value }]);
      key.fill(0);
      value.fill(0);
      await committed;
      expect(rowsOf(engine)).toEqual(['t/key=value']);
      await engine.close();
    }));

  test('keys of every length up to the limit keep their order; longer bounds are bounds too', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      const lengths = [0, 1, 2, 510, 511, 512, 1024, KEY_BYTES_MAX - 1, KEY_BYTES_MAX];
      const keys = lengths.map((length) => new Uint8Array(length).fill(0xff));
      await commit(
        engine,
        keys.map((key) => ({ table: 't', key, value: key })),
      );
      const stored = [...engine.range('t', everything)].map(({ key }) => key.length);
      expect(stored).toEqual(lengths);
      const longer = new Uint8Array(KEY_BYTES_MAX + 500).fill(0xff);
      expect(engine.get('t', longer)).toBeNull();
      expect(engine.count('t', { from: text(''), to: longer })).toBe(lengths.length);
      expect(engine.count('t', { from: longer, to: null })).toBe(0);
      expect([...engine.range('t', { from: longer, to: null, reverse: true })]).toEqual([]);
      expect(() => engine.commit([{ table: 't', key: longer, value: null }], () => {})).toThrow(
        'key is too long',
      );
      await engine.close();
    }));

  test('a refused commit changes nothing, and the next one works', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      const long = new Uint8Array(KEY_BYTES_MAX + 1);
      const changes = [put('t', 'a', '1'), { table: 't', key: long, value: long }];
      expect(() => engine.commit(changes, () => {})).toThrow('key is too long');
      await commit(engine, [put('t', 'b', '1')]);
      expect(rowsOf(engine)).toEqual(['t/b=1']);
      await engine.close();
    }));
}

function testViews(enter: () => Promise<EnginePlace>): void {
  test('a view and an iteration stay what they were through many commits', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      const rows = Array.from({ length: 2_000 }, (_, i) => put('t', `k${1000 + i}`, 'old'));
      await commit(engine, rows);
      const view = engine.view();
      const iteration = engine.range('t', everything)[Symbol.iterator]();
      iteration.next();
      for (let round = 0; round < 20; round++) {
        const changed = rows.map(({ table, key }) => ({ table, key, value: text(`${round}`) }));
        await commit(engine, round === 19 ? changed.map(removed) : changed);
      }
      expect(engine.count('t', everything)).toBe(0);
      const seen = [...view.rows()].map(({ value }) => bytesKey(value));
      expect(seen).toEqual(rows.map(() => 'old'));
      expect(bytesKey(view.get('t', text('k1000')) ?? text(''))).toBe('old');
      let left = 0;
      for (let next = iteration.next(); next.done !== true; next = iteration.next()) left++;
      expect(left).toBe(rows.length - 1);
      view.close();
      view.close();
      await engine.close();
    }));

  test('a view lists all tables by name, whatever came first', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      await commit(engine, [put('z', 'a', '1'), put('b', 'b', '2')]);
      await commit(engine, [put('a', 'z', '3'), put('b', 'a', '4')]);
      expect(rowsOf(engine)).toEqual(['a/z=3', 'b/a=4', 'b/b=2', 'z/a=1']);
      await engine.close();
    }));

  test('reading a closed view, or one of a closed engine, is an error and no crash', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      await commit(engine, [put('t', 'a', '1'), put('t', 'b', '1')]);
      const view = engine.view();
      const rows = view.rows()[Symbol.iterator]();
      const range = engine.range('t', everything)[Symbol.iterator]();
      rows.next();
      range.next();
      const closed = engine.view();
      closed.close();
      await engine.close();
      for (const read of [
        () => rows.next(),
        () => range.next(),
        () => closed.get('t', text('a')),
        () => view.get('t', text('a')),
        () => [...view.rows()],
        () => engine.get('t', text('a')),
        () => engine.count('t', everything),
      ]) {
        expect(read).toThrow(expect.objectContaining({ code: 'CLOSED' }));
      }
    }));
}

function testLifetimes(enter: () => Promise<EnginePlace>): void {
  test('close waits for the commit under way, whose done comes first', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      const events: string[] = [];
      const rows = Array.from({ length: 5_000 }, (_, i) => put('t', `${i}`, 'v'));
      engine.commit(rows, (error) => events.push(`done ${error}`));
      await Promise.all([engine.close(), engine.close()]);
      events.push('closed');
      expect(events).toEqual(['done null', 'closed']);
      const again = await engines.open(path);
      expect(again.count('t', everything)).toBe(5_000);
      await again.close();
    }));

  test('what was never made can not be opened, and what is there is not made again', () =>
    within(enter, async ({ engines, directory, path }) => {
      await expect(engines.open(path)).rejects.toMatchObject({ code: 'CORRUPT' });
      expect(await engines.list(directory)).toEqual([]);
      const engine = await engines.open(path, { create: true });
      await commit(engine, [put('t', 'a', '1')]);
      await engine.close();
      expect(await engines.list(directory)).toEqual([path]);
      await expect(engines.open(path, { create: true })).rejects.toMatchObject({ code: 'IO' });
      const again = await engines.open(path);
      expect(rowsOf(again)).toEqual(['t/a=1']);
      await again.close();
      await engines.remove(path);
      await engines.remove(path);
      expect(await engines.list(directory)).toEqual([]);
    }));

  test('usage grows with the rows', () =>
    within(enter, async ({ engines, path }) => {
      const engine = await engines.open(path, { create: true });
      const before = engine.usage();
      await commit(engine, [{ table: 't', key: text('a'), value: new Uint8Array(1_000_000) }]);
      const after = engine.usage();
      expect(after.usedBytes - before.usedBytes).toBeGreaterThan(1_000_000);
      expect(after.usedBytes - before.usedBytes).toBeLessThan(1_100_000);
      expect(after.fileBytes).toBeGreaterThanOrEqual(after.usedBytes);
      await engine.close();
    }));
}

const everything = { from: new Uint8Array(0), to: null };

async function within(
  enter: () => Promise<EnginePlace>,
  body: (place: EnginePlace & { path: string }) => Promise<void>,
): Promise<void> {
  const place = await enter();
  try {
    await body({ ...place, path: `${place.directory}/a.lmdb` });
  } finally {
    await place.leave();
  }
}

/** Commits and waits; rejects with the commit's error. */
export function commit(engine: Engine, changes: Iterable<Change>): Promise<void> {
  return new Promise((resolve, reject) => {
    engine.commit(changes, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** All rows, each as `table/key=value`. */
export function rowsOf(engine: Engine): string[] {
  const view = engine.view();
  const rows = [...view.rows()].map(
    ({ table, key, value }) => `${table}/${bytesKey(key)}=${bytesKey(value)}`,
  );
  view.close();
  return rows;
}

export function put(table: string, key: string, value: string): Change {
  return { table, key: text(key), value: text(value) };
}

function remove(table: string, key: string): Change {
  return { table, key: text(key), value: null };
}

function removed({ table, key }: Change): Change {
  return { table, key, value: null };
}

function get(engine: Engine, table: string, key: string): string | null {
  const value = engine.get(table, text(key));
  return value === null ? null : bytesKey(value);
}

/** One byte per character. */
function text(string: string): Uint8Array {
  return Uint8Array.from(string, (character) => character.charCodeAt(0));
}
