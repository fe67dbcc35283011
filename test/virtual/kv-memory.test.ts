import { describe, expect, test } from 'vitest';
import { type Command, decodeAnswer, encodeCommand, type Query } from '../../src/api/index.ts';
import { KvStateMachine } from '../../src/kv/index.ts';
import { memoryStore, type OrderedStore } from '../../src/store/index.ts';
import { KvLab } from './kv-lab.ts';
import { onSeeds } from './seeds.ts';

/*
 * The course lab's memory tests for the table that makes commands run once, as rows and bytes of
 * replicated state: what a hundred thousand clients leave behind. No timing, no garbage collector.
 */
const CLERKS = 100_000;
const BATCH = 500;
const TTL_MS = 5 * 60_000;
/** Longer than it takes to elect a leader. */
const TAKEOVER_MS = 5_000;
const SESSION_TABLES = ['sessions', 'names', 'answers'] as const;
const EVERYTHING = { from: new Uint8Array(0), to: null };

/** A state machine of its own, and a log that it is fed from. */
class Machine {
  readonly store: OrderedStore = memoryStore();
  readonly machine = new KvStateMachine({ store: this.store });
  #index = 0;
  #nowMs = 1_000_000;

  apply(commands: readonly Command[]): ReturnType<typeof decodeAnswer>[] {
    const batch = { index: ++this.#index, term: 1, timeMs: ++this.#nowMs, conf: null };
    return this.machine
      .apply({ ...batch, commands: commands.map((command) => encodeCommand(command)) })
      .map(decodeAnswer);
  }

  /** Opens a session for each of these clerks; returns their ids. */
  open(from: number, count: number): number[] {
    const commands = Array.from({ length: count }, (_, i) => open(from + i));
    return this.apply(commands).map((answer) => {
      if (answer.type !== 'openSession') throw new Error(`not opened: ${JSON.stringify(answer)}`);
      return answer.sessionId;
    });
  }

  pass(durationMs: number): void {
    this.#nowMs += durationMs;
  }

  /** What the session tables hold. */
  sessionState(): { rows: number; bytes: number } {
    let rows = 0;
    let bytes = 0;
    for (const table of SESSION_TABLES) {
      for (const { key, value } of this.store.range(table, EVERYTHING)) {
        rows++;
        bytes += key.length + value.length;
      }
    }
    return { rows, bytes };
  }
}

function open(clerk: number): Command {
  const nonce = new Uint8Array(16);
  new DataView(nonce.buffer).setUint32(0, clerk);
  return { type: 'openSession', name: new Uint8Array(0), nonce, ttlMs: TTL_MS };
}

function put(
  sessionId: number,
  { seq = 1, bytes, prevKv = false }: { seq?: number; bytes: number; prevKv?: boolean },
): Command {
  const session = { sessionId, incarnation: 1, seq, ackedSeq: seq - 1 };
  const operation = { type: 'put' as const, key: KEY, value: new Uint8Array(bytes), prevKv };
  return { type: 'operation', session, operation };
}

function close(sessionId: number): Command {
  return { type: 'closeSession', sessionId, incarnation: 1 };
}

const KEY = new TextEncoder().encode('k');
const GET: Query = {
  serializable: true,
  query: {
    type: 'range',
    range: { from: KEY, to: Uint8Array.from([...KEY, 0]) },
    limit: 0,
    revision: null,
    keysOnly: false,
    countOnly: false,
  },
};

describe('lab 2 (2024), memory of the session table', () => {
  test('MemPutMany: 100,000 clerks that put 1000 bytes once and close leave no row', () => {
    const log = new Machine();
    for (let clerk = 0; clerk < CLERKS; clerk += BATCH) {
      const ids = log.open(clerk, BATCH);
      const answers = log.apply(ids.map((id) => put(id, { bytes: 1_000 })));
      expect(answers.every((answer) => answer.type === 'put')).toBe(true);
      log.apply(ids.map(close));
    }
    expect(log.machine.revision).toBe(1 + CLERKS);
    expect(log.machine.sessions).toBe(0);
    expect(log.sessionState()).toEqual({ rows: 0, bytes: 0 });
  });

  test('MemPutManyGone: 100,000 clerks that vanish cost 200 bytes each, and then nothing', () => {
    const log = new Machine();
    for (let clerk = 0; clerk < CLERKS; clerk += BATCH) {
      log.apply(log.open(clerk, BATCH).map((id) => put(id, { bytes: 1_000 })));
    }
    const { rows, bytes } = log.sessionState();
    expect(rows).toBe(3 * CLERKS);
    expect(bytes / CLERKS).toBeLessThanOrEqual(200);
    // They end by log time; a batch sweeps a bounded number of rows.
    log.pass(TTL_MS);
    let batches = 0;
    while (log.machine.sessions > 0 && batches < 1_000) {
      log.apply([]);
      batches++;
    }
    expect(batches).toBeGreaterThan(10);
    expect(log.sessionState()).toEqual({ rows: 0, bytes: 0 });
    expect(log.machine.stateHash()).toBe(log.machine.recomputeStateHash());
  });

  test('MemGetMany: 100,000 gets change nothing', () => {
    const log = new Machine();
    const [id = 0] = log.open(0, 1);
    log.apply([put(id, { bytes: 1_000 })]);
    const before = { ...log.sessionState(), hash: log.machine.recomputeStateHash() };
    for (let clerk = 0; clerk < CLERKS; clerk++) log.machine.query(GET);
    expect({ ...log.sessionState(), hash: log.machine.recomputeStateHash() }).toEqual(before);
  });

  test('MemPut: a kept answer of a mebibyte goes with the next command of its session', () => {
    const log = new Machine();
    const mebibyte = 1024 * 1024;
    const [id = 0] = log.open(0, 1);
    log.apply([put(id, { seq: 1, bytes: mebibyte })]);
    for (let seq = 2; seq <= 20; seq++) {
      log.apply([put(id, { seq, bytes: mebibyte, prevKv: true })]);
      expect(log.sessionState().bytes).toBeLessThan(mebibyte + 200);
    }
    log.apply([put(id, { seq: 21, bytes: 0 })]);
    expect(log.sessionState().bytes).toBeLessThan(200);
  });

  test('MemAppend: the answer of an append does not hold the value', () => {
    const log = new Machine();
    const ids = log.open(0, 2);
    const append = (sessionId: number): Command => ({
      type: 'operation',
      session: { sessionId, incarnation: 1, seq: 1, ackedSeq: 0 },
      operation: { type: 'append', key: KEY, value: new Uint8Array(700_000) },
    });
    expect(log.apply(ids.map(append)).map((answer) => answer.type)).toEqual(['append', 'append']);
    expect(log.sessionState().bytes).toBeLessThan(2 * 200);
  });
});

describe('the same in a cluster', () => {
  onSeeds('OneShotClerks: sessions of clerks that close are gone on every member', 1, async (s) => {
    const lab = new KvLab(3, s);
    const oneShot = async (n: number): Promise<void> => {
      const clerk = await lab.clerk();
      await clerk.put('k', String(n));
      await clerk.close();
    };
    const work = async (): Promise<void> => {
      for (let n = 0; n < 1_000; n += 50) {
        await Promise.all(Array.from({ length: 50 }, (_, i) => oneShot(n + i)));
      }
      await lab.agreement();
    };
    await lab.drive(work());
    expect(lab.all.map((i) => lab.status(i)?.sessions)).toEqual([0, 0, 0]);
  });

  onSeeds('KilledClerks: sessions of clerks that vanish end by log time', 1, async (seed) => {
    const lab = new KvLab(3, seed);
    const work = async (): Promise<void> => {
      for (let n = 0; n < 100; n++) {
        const { clerk, kill } = await lab.application();
        await clerk.put('k', String(n));
        kill();
      }
      await lab.agreement();
      expect(lab.all.map((i) => lab.status(i)?.sessions)).toEqual([100, 100, 100]);
      // A new leader's clock shows something else: log time goes on from what the log says.
      lab.restart(await lab.leader());
      // Log time stands still while nobody leads.
      await lab.sleep(TTL_MS + TAKEOVER_MS);
      const last = await lab.clerk();
      await last.put('k', 'last');
      await lab.agreement();
    };
    await lab.drive(work(), 2 * TTL_MS);
    expect(lab.all.map((i) => lab.status(i)?.sessions)).toEqual([1, 1, 1]);
  });
});
