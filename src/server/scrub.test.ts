import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeCommand } from '../api/index.ts';
import { type Clock, memoryDisk, silentLog } from '../io/index.ts';
import { utf8Bytes } from '../lib/index.ts';
import { VirtualClock } from '../replica/testing/virtual-clock.ts';
import {
  type EngineUsage,
  type EngineView,
  type MemoryEngines,
  memoryEngines,
  type Row,
} from '../store/index.ts';
import { Scrub } from './scrub.ts';
import { MemberState } from './state.ts';

const HOUR_MS = 3_600_000;
const KEYS = 1_000;
const PATH = 'd/state/0000000000000001.lmdb';

let clock: VirtualClock;
let engines: MemoryEngines;
let state: MemberState;
let scrub: Scrub;
let findings: string[];
let index: number;

beforeEach(async () => {
  clock = new VirtualClock();
  engines = memoryEngines();
  findings = [];
  index = 0;
  state = await open();
  scrub = scrubOf(() => state.store);
});

afterEach(async () => {
  scrub.close();
  await state.close();
});

function open(): Promise<MemberState> {
  const disk = memoryDisk();
  return MemberState.open({ disk, engines, log: silentLog, directory: 'd', clusterId: 5n });
}

function scrubOf(store: () => MemberState['store'], intervalMs = HOUR_MS): Scrub {
  const onDamage = (finding: Error): void => void findings.push(finding.message);
  return new Scrub({ clock, log: silentLog, store, intervalMs, onDamage });
}

async function write(count = KEYS): Promise<void> {
  for (let i = 0; i < count; i++) {
    const operation = { type: 'put', key: keyOf(i), value: keyOf(i), prevKv: false } as const;
    const commands = [encodeCommand({ type: 'operation', session: null, operation })];
    state.apply({ index: ++index, term: 1, timeMs: index, commands, confState: null });
  }
  await new Promise<void>((resolve, reject) => {
    state.flush((error) => (error === null ? resolve() : reject(error)));
  });
}

function keyOf(i: number): Uint8Array {
  return utf8Bytes(`key-${i}`);
}

describe('a walk over all that is stored', () => {
  test('ends well where all is well, and comes again after the interval', async () => {
    await write();
    clock.advance(HOUR_MS);
    expect([scrub.passes, findings]).toEqual([1, []]);
    await write();
    clock.advance(HOUR_MS + 60_000);
    expect([scrub.passes, findings]).toEqual([2, []]);
  });

  test('goes on through flushes: it verifies the state that it began with', async () => {
    await write();
    clock.advance(5 * 60_000 + 100);
    for (let round = 0; round < 4; round++) {
      await write(10);
      clock.advance(50);
    }
    expect(scrub.passes).toBe(0);
    clock.advance(60_000);
    expect([scrub.passes, findings]).toEqual([1, []]);
  });

  test('takes a fiftieth of the time', async () => {
    await write();
    let steps = 0;
    // Looking at the store takes a millisecond on this clock.
    const slow: Clock = {
      nowMs: () => clock.nowMs() + steps,
      wallMs: () => clock.wallMs(),
      setTimer: (ms, run) => clock.setTimer(ms, run),
      defer: (run) => clock.defer(run),
    };
    const store = (): MemberState['store'] => {
      steps++;
      return state.store;
    };
    const parts = { clock: slow, log: silentLog, store, intervalMs: HOUR_MS };
    const paced = new Scrub({ ...parts, onDamage: () => {} });
    clock.advance(5 * 60_000);
    const before = steps;
    clock.advance(490);
    expect(steps - before).toBeLessThanOrEqual(10);
    paced.close();
  });

  test('finds a row with a wrong checksum that nobody has read', async () => {
    await write();
    engines.damage(PATH, 'keys', keyOf(KEYS / 2));
    clock.advance(HOUR_MS);
    expect(scrub.passes).toBe(0);
    expect(findings).toEqual([
      expect.stringMatching(/checksum of the row 6b65792d353030 in .*keys/),
    ]);
    clock.advance(10 * HOUR_MS);
    expect(findings).toHaveLength(1);
  });

  test.each([
    ['is missing', null],
    ['is an older one', utf8Bytes('old')],
  ])('finds a whole row that %s', async (_name, value) => {
    await write();
    scrub.close();
    await state.close();
    const engine = await engines.open(PATH);
    await new Promise<void>((resolve) => {
      engine.commit([{ table: 'keys', key: keyOf(7), value }], () => resolve());
    });
    await engine.close();
    const view = (await engines.open(PATH)).view();
    const usage = (): { usedBytes: number; fileBytes: number } => ({ usedBytes: 1, fileBytes: 1 });
    const other = scrubOf(() => ({ ...state.store, view: () => view, usage }));
    clock.advance(HOUR_MS);
    expect(findings).toEqual([expect.stringMatching(/rows are missing, or not what was written/)]);
    other.close();
  });

  test('lets go of its view when the file grows; the hash is left to the next pass', async () => {
    await write();
    let fileBytes = 1;
    let views = 0;
    let iterations = 0;
    function* counted(rows: Iterable<Row>): Generator<Row> {
      iterations++;
      try {
        yield* rows;
      } finally {
        iterations--;
      }
    }
    const view = (): EngineView => {
      views++;
      const own = state.store.view();
      return {
        get: (table, key) => own.get(table, key),
        range: (table, span) => own.range(table, span),
        rows: (behind) => counted(own.rows(behind)),
        close: () => {
          expect(iterations, 'an iteration that is left open keeps the view').toBe(0);
          own.close();
        },
      };
    };
    const usage = (): EngineUsage => ({ usedBytes: 1, fileBytes });
    const grown = scrubOf(() => ({ ...state.store, view, usage }));
    clock.advance(5 * 60_000 + 60);
    expect(iterations).toBe(1);
    fileBytes = 2 ** 40;
    clock.advance(HOUR_MS / 2);
    expect([views, iterations, grown.passes, findings]).toEqual([2, 0, 1, []]);
    grown.close();
  });

  test('begins anew when the state is replaced, and never when it is turned off', async () => {
    await write();
    const off = scrubOf(() => state.store, 0);
    clock.advance(5 * 60_000 + 60);
    scrub.restart();
    clock.advance(4 * 60_000);
    expect(scrub.passes).toBe(0);
    clock.advance(2 * 60_000);
    expect([scrub.passes, off.passes, findings]).toEqual([1, 0, []]);
  });
});
