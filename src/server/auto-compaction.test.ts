import { afterEach, expect, test } from 'vitest';
import { silentLog } from '../io/index.ts';
import { VirtualClock } from '../replica/testing/virtual-clock.ts';
import { AutoCompaction, type AutoCompactionPolicy } from './auto-compaction.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

class Scene {
  readonly clock = new VirtualClock();
  readonly compacted: number[] = [];
  readonly compaction: AutoCompaction;
  revision = 1;
  leads = true;

  constructor(policy: AutoCompactionPolicy) {
    this.compaction = new AutoCompaction({
      clock: this.clock,
      log: silentLog,
      policy,
      leads: () => this.leads,
      revision: () => this.revision,
      compact: (revision) => void this.compacted.push(revision),
    });
  }

  /** A hundred revisions each minute. */
  pass(minutes: number): void {
    for (let i = 0; i < minutes; i++) {
      this.revision += 100;
      this.clock.advance(MINUTE_MS);
    }
  }
}

let scene: Scene;
afterEach(() => scene.compaction.close());

test('by revision: all but the newest stay readable, looked at every five minutes', () => {
  scene = new Scene({ mode: 'revision', retention: 1000 });
  scene.pass(9);
  expect(scene.compacted).toEqual([]);
  scene.pass(11);
  expect(scene.compacted).toEqual([1, 501, 1001]);
});

test('by time: what was replaced longer ago than the retention goes', () => {
  scene = new Scene({ mode: 'periodic', retentionMs: HOUR_MS });
  scene.pass(65);
  expect(scene.compacted).toEqual([]);
  scene.pass(6);
  // The look at minute 66 finds the revision of minute 6.
  expect(scene.compacted).toEqual([601]);
  scene.pass(60);
  expect(scene.compacted).toHaveLength(11);
  expect(scene.compacted.at(-1)).toBe(6601);
});

test('only the leader acts, and a new one goes on at once', () => {
  scene = new Scene({ mode: 'periodic', retentionMs: HOUR_MS });
  scene.leads = false;
  scene.pass(120);
  expect(scene.compacted).toEqual([]);
  scene.leads = true;
  scene.pass(6);
  expect(scene.compacted).toHaveLength(1);
});

test('nothing happens while nothing changes', () => {
  scene = new Scene({ mode: 'revision', retention: 10 });
  scene.revision = 500;
  scene.clock.advance(24 * HOUR_MS);
  expect(scene.compacted).toEqual([490]);
});
