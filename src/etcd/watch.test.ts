import { expect, test } from 'vitest';
import { keyRange, type Operation, prefixRange } from '../api/index.ts';
import { Prng, utf8Bytes } from '../lib/index.ts';
import type { Draft } from './codec.ts';
import { FILTER, WATCH_REQUEST, type WatchCreateRequest } from './messages/watch.ts';
import { TestStream, WatchWorld } from './testing/world.ts';
import { WatchHub } from './watch-hub.ts';
import { WatchStream } from './watch-stream.ts';

const ZERO = new Uint8Array(1);
const ALL = { key: new Uint8Array(0), range_end: ZERO };

function open(world: WatchWorld, { wantsLeader = false } = {}) {
  const stream = new TestStream();
  const hub = new WatchHub(world.context);
  const watch = new WatchStream(world.context, { hub, stream, wantsLeader });
  const send = (request: Parameters<typeof WATCH_REQUEST.encode>[0]): void =>
    watch.onMessage(WATCH_REQUEST.encode(request));
  const create = (request: Draft<WatchCreateRequest>): void => send({ create_request: request });
  return { stream, watch, send, create };
}

function put(key: string, value = ''): Operation {
  return { type: 'put', key: utf8Bytes(key), value: utf8Bytes(value), prevKv: false };
}

/** `PUT a@2`, … of all answers. */
function eventsIn(responses: TestStream['read'], id = 0): string[] {
  return responses
    .filter(({ watch_id }) => watch_id === id)
    .flatMap(({ events }) => events)
    .map(({ type, kv }) => {
      const key = Buffer.from(kv?.key ?? ZERO).toString();
      return `${type === 0 ? 'PUT' : 'DELETE'} ${key}@${kv?.mod_revision}`;
    });
}

test('a watcher is confirmed first, with the revision of now, and then told what follows', () => {
  const world = new WatchWorld();
  world.apply(put('a'));
  const { stream, create } = open(world);
  create({ key: utf8Bytes('a') });
  world.apply(put('a'), put('b'));
  world.clock.pass(0);
  const [created, ...rest] = stream.take();
  expect(created).toMatchObject({ created: true, watch_id: 0, header: { revision: 2 } });
  expect(eventsIn(rest)).toEqual(['PUT a@3']);
});

test('history from a revision comes before what is new, without a gap', () => {
  const world = new WatchWorld({ watchPageChangesMax: 2 });
  for (let i = 0; i < 9; i++) world.apply(put('a'));
  const { stream, create } = open(world);
  create({ key: utf8Bytes('a'), start_revision: 4 });
  world.apply(put('a'));
  for (let turn = 0; turn < 8; turn++) world.clock.pass(0);
  const expected = [4, 5, 6, 7, 8, 9, 10, 11].map((revision) => `PUT a@${revision}`);
  expect(eventsIn(stream.take())).toEqual(expected);
});

test('a start in the future is waited for', () => {
  const world = new WatchWorld();
  const { stream, create } = open(world);
  create({ ...ALL, start_revision: 4 });
  for (const key of ['x', 'y', 'z']) world.apply(put(key));
  world.clock.pass(0);
  expect(eventsIn(stream.take())).toEqual(['PUT z@4']);
});

test('who begins in compacted history is created, cancelled and told where it begins', () => {
  const world = new WatchWorld();
  for (const key of ['x', 'y', 'z']) world.apply(put(key));
  world.apply({ type: 'compact', revision: 3 });
  const { stream, create } = open(world);
  create({ ...ALL, start_revision: 2 });
  world.clock.pass(0);
  world.apply(put('after'));
  world.clock.pass(0);
  expect(stream.take()).toMatchObject([
    { created: true, canceled: false },
    { created: false, canceled: true, compact_revision: 3, events: [] },
  ]);
});

test('filters, previous values and ranges choose what is told', () => {
  const world = new WatchWorld();
  world.apply(put('a', 'one'));
  const { stream, create } = open(world);
  create({ ...ALL, filters: [FILTER.NOPUT], prev_kv: true });
  create({ key: utf8Bytes('a'), range_end: utf8Bytes('b'), filters: [FILTER.NODELETE] });
  world.apply(put('a', 'two'), put('c'));
  world.apply({ type: 'delete', range: prefixRange(utf8Bytes('')), prevKv: false });
  world.clock.pass(0);
  const responses = stream.take();
  expect(eventsIn(responses, 0)).toEqual(['DELETE a@5', 'DELETE c@5']);
  expect(eventsIn(responses, 1)).toEqual(['PUT a@3']);
  const previous = responses.flatMap(({ events }) => events).map(({ prev_kv }) => prev_kv?.value);
  expect(previous).toContainEqual(utf8Bytes('two'));
});

test('after its cancellation nothing more is said of a watcher; of an unknown one nothing', () => {
  const world = new WatchWorld();
  const { stream, create, send } = open(world);
  create(ALL);
  world.apply(put('a'));
  send({ cancel_request: { watch_id: 0 } });
  send({ cancel_request: { watch_id: 5 } });
  world.clock.pass(0);
  expect(stream.take()).toMatchObject([{ created: true }, { canceled: true, watch_id: 0 }]);
});

test.each([
  [{ key: utf8Bytes('b'), range_end: utf8Bytes('b') }, 'mvcc: watcher range is empty'],
  [{ key: utf8Bytes('b'), watch_id: 3 }, 'mvcc: duplicate watch ID provided on the WatchStream'],
  [{ key: utf8Bytes('b'), start_revision: -1 }, 'mvcc: required revision has been compacted'],
])('what cannot be watched is refused with etcd’s text (%#)', (request, cancel_reason) => {
  const { stream, create } = open(new WatchWorld());
  create({ ...ALL, watch_id: 3 });
  create(request);
  const refusal = { created: true, canceled: true, watch_id: -1, cancel_reason };
  expect(stream.take()[1]).toMatchObject(refusal);
});

test('chosen ids are kept, and the member chooses others', () => {
  const { stream, create } = open(new WatchWorld());
  for (const watch_id of [1, 0, 0, 0]) create({ ...ALL, watch_id });
  expect(stream.take().map(({ watch_id }) => watch_id)).toEqual([1, 0, 2, 3]);
});

test('progress is told when every watcher has everything, and not before', () => {
  const world = new WatchWorld();
  const { stream, create, send } = open(world);
  create(ALL);
  send({ progress_request: {} });
  expect(stream.take().at(-1)).toMatchObject({ watch_id: -1, header: { revision: 1 }, events: [] });
  world.apply(put('a'));
  send({ progress_request: {} });
  expect(stream.take()).toEqual([]);
  world.clock.pass(0);
  const [event, progress] = stream.take();
  expect(event?.events).toHaveLength(1);
  expect(progress).toMatchObject({ watch_id: -1, header: { revision: 2 } });
});

test('a quiet watcher that asked for it hears of the revision now and then', () => {
  const world = new WatchWorld({ progressIntervalMs: 1_000 });
  const { stream, create } = open(world);
  create({ key: utf8Bytes('a'), progress_notify: true });
  world.apply(put('other'));
  world.clock.pass(1_000);
  expect(stream.take().at(-1)).toMatchObject({ watch_id: 0, header: { revision: 2 }, events: [] });
  world.apply(put('a'));
  world.clock.pass(1_000);
  expect(eventsIn(stream.take())).toEqual(['PUT a@3']);
});

test('a large page is cut into fragments for who asked for them, each but the last marked', () => {
  const world = new WatchWorld({ watchFragmentBytesMax: 300 });
  const { stream, create } = open(world);
  create({ ...ALL, fragment: true });
  const success = ['a', 'b', 'c', 'd', 'e'].map(
    (key) => put(key, 'v') as Operation & { type: 'put' },
  );
  world.apply({ type: 'txn', compares: [], success, failure: [] });
  world.clock.pass(0);
  const [, ...parts] = stream.take();
  expect(parts.map(({ fragment, events }) => [fragment, events.length])).toEqual([
    [true, 2],
    [true, 2],
    [false, 1],
  ]);
});

test('a stream that asked for a leader ends when there is none for long', () => {
  const world = new WatchWorld();
  const { stream } = open(world, { wantsLeader: true });
  world.clock.pass(10_000);
  expect(stream.ended).toBeUndefined();
  world.hasLeader = false;
  world.clock.pass(5_000);
  expect(stream.ended?.message).toBe('etcdserver: no leader');
});

test('a closed stream leaves no timer and no listener behind', () => {
  const world = new WatchWorld();
  const { create, watch } = open(world, { wantsLeader: true });
  create({ ...ALL, progress_notify: true });
  expect(world.listeners).toBe(1);
  watch.onClosed();
  world.clock.pass(0);
  expect(world.clock.timers).toBe(0);
  expect(world.listeners).toBe(0);
});

/** Keys that are prefixes of one another, and short enough to meet often. */
const KEYS = ['a', 'aa', 'b', 'c', 'ca'];

test.each(Array.from({ length: 40 }, (_, i) => i + 1))(
  'every watcher sees every change once and in order, however slowly it reads (seed %i)',
  (seed) => {
    const random = new Prng(seed);
    const world = new WatchWorld({
      watchUnreadBytesMax: 1 + random.below(400),
      watchPageChangesMax: 1 + random.below(5),
      watchPagesPerTurnMax: 1 + random.below(3),
    });
    const streams = [open(world), open(world)];
    const key = (): string => KEYS[random.below(KEYS.length)] as string;
    const log: { event: string; key: string; revision: number }[] = [];
    const watchers: { stream: number; id: number; from: number; range: [string, string] }[] = [];
    const apply = (): void => {
      const target = key();
      const before = world.machine.revision;
      const isPut = random.chance(0.7);
      const range = keyRange(utf8Bytes(target), new Uint8Array(0));
      world.apply(isPut ? put(target) : { type: 'delete', range, prevKv: false });
      const revision = world.machine.revision;
      if (revision === before) return;
      log.push({
        event: `${isPut ? 'PUT' : 'DELETE'} ${target}@${revision}`,
        key: target,
        revision,
      });
    };
    const watch = (): void => {
      const at = random.below(2);
      const { revision } = world.machine;
      const start = random.chance(0.3) ? 0 : Math.max(1, revision + random.below(12) - 8);
      const range: [string, string] = random.chance(0.5) ? [key(), ''] : ['a', 'cb'];
      const id = watchers.filter(({ stream }) => stream === at).length;
      const [from, to] = [utf8Bytes(range[0]), utf8Bytes(range[1])];
      streams[at]?.create({ key: from, range_end: to, start_revision: start });
      watchers.push({ stream: at, id, from: start === 0 ? revision + 1 : start, range });
    };
    const drain = (at: number): void => {
      if ((streams[at]?.stream.take().length ?? 0) > 0) streams[at]?.watch.onDrain();
    };
    for (let step = 0; step < 150; step++) {
      const roll = random.below(10);
      if (roll < 4) apply();
      else if (roll < 5) watch();
      else if (roll < 6) drain(random.below(2));
      else world.clock.pass(0);
    }
    for (let turn = 0; turn < 2_000; turn++) {
      drain(0);
      drain(1);
      world.clock.pass(0);
    }
    for (const { stream, id, from, range } of watchers) {
      const [first, end] = range;
      const isWanted = (each: string): boolean => (end === '' ? each === first : each < end);
      const expected = log.filter((each) => each.revision >= from && isWanted(each.key));
      const seen = eventsIn(streams[stream]?.stream.read ?? [], id);
      expect(seen, `seed ${seed}`).toEqual(expected.map(({ event }) => event));
    }
  },
);
