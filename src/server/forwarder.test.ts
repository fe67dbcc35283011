import { expect, test } from 'vitest';
import { ManualClock } from '../grpc/testing/manual-clock.ts';
import { utf8Bytes, utf8String } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import type { Forward, ForwardReply } from '../transport/index.ts';
import { type AttemptDone, Forwarder, type ForwardRefusals } from './forwarder.ts';
import type { ForwardLimits } from './limits.ts';

const REFUSALS: ForwardRefusals = {
  noLeader: utf8Bytes('noLeader'),
  leadershipLost: utf8Bytes('leadershipLost'),
  timeout: utf8Bytes('timeout'),
  overloaded: utf8Bytes('overloaded'),
  stopped: utf8Bytes('stopped'),
};

/** Members that pass commands on to each other; who leads executes them. */
class World {
  readonly clock = new ManualClock();
  leader: MemberId | null = 1n;
  term = 1;
  /** False: messages are not taken. */
  hasLinks = true;
  /** True: messages are taken and lost. */
  loses = false;
  /** What was executed, in order. */
  readonly executed: string[] = [];
  readonly members = new Map<MemberId, Forwarder>();

  constructor(limits: Partial<ForwardLimits> = {}) {
    for (const id of [1n, 2n]) this.members.set(id, this.#member(id, limits));
  }

  #member(memberId: MemberId, limits: Partial<ForwardLimits>): Forwarder {
    return new Forwarder({
      memberId,
      clock: this.clock,
      random: { uint32: () => 7 },
      requestTimeoutMs: 1_000,
      execute: (command, done) => this.#execute(memberId, command, done),
      read: (_query, done) => done(this.leader === null ? null : utf8Bytes('read')),
      leadership: () => ({ leader: this.leader, term: this.term }),
      send: (message) => this.#send(message),
      refusals: REFUSALS,
      limits,
    });
  }

  #execute(at: MemberId, command: Uint8Array, done: AttemptDone): void {
    if (this.leader !== at) return done(null);
    this.executed.push(utf8String(command) ?? '');
    done(utf8Bytes(`done ${utf8String(command)}`));
  }

  #send(message: Forward | ForwardReply): boolean {
    if (!this.hasLinks) return false;
    if (!this.loses) this.clock.defer(() => this.members.get(message.to)?.receive(message));
    return true;
  }

  /** Gives a command to a member; its answers arrive in the list. */
  ask(at: MemberId, command: string): string[] {
    const answers: string[] = [];
    this.members.get(at)?.execute(utf8Bytes(command), (answer) => {
      answers.push(utf8String(answer) ?? '');
    });
    return answers;
  }
}

test('a command given to a follower is executed once, by the leader, and answered', () => {
  const world = new World();
  const answers = [world.ask(2n, 'a'), world.ask(2n, 'b'), world.ask(1n, 'c')];
  world.clock.pass(1);
  expect(answers).toEqual([['done a'], ['done b'], ['done c']]);
  expect([...world.executed].sort()).toEqual(['a', 'b', 'c']);
});

test('commands are cut into messages within the bounds, and none is lost', () => {
  const world = new World({ messageBytesMax: 8, messageItemsMax: 2 });
  const commands = ['aa', 'bb', 'cc', 'much longer than a message', 'dd'];
  const answers = commands.map((command) => world.ask(2n, command));
  world.clock.pass(1);
  expect(answers).toEqual(commands.map((command) => [`done ${command}`]));
  expect(world.executed).toEqual(commands);
});

test('without a leader a command waits for one, and is refused when none comes', () => {
  const world = new World();
  world.leader = null;
  const [late, never] = [world.ask(2n, 'late'), world.ask(2n, 'never')];
  world.clock.pass(500);
  expect([late, never]).toEqual([[], []]);
  world.leader = 1n;
  world.clock.pass(100);
  expect(late).toEqual(['done late']);
  world.leader = null;
  const refused = world.ask(2n, 'refused');
  world.clock.pass(1_100);
  expect(refused).toEqual(['noLeader']);
  expect(world.executed).toEqual(['late', 'never']);
});

test('one that the transport did not take, or that met no leader, is tried again', () => {
  const world = new World();
  world.hasLinks = false;
  const unsent = world.ask(2n, 'unsent');
  world.clock.pass(100);
  world.hasLinks = true;
  world.clock.pass(100);
  expect(unsent).toEqual(['done unsent']);
  world.leader = 2n;
  const moved = world.ask(1n, 'moved');
  world.leader = 1n;
  world.clock.pass(200);
  expect(moved).toEqual(['done moved']);
  expect(world.executed).toEqual(['unsent', 'moved']);
});

test('one whose answer stays away ends as unknown, and is never sent again', () => {
  const world = new World();
  world.loses = true;
  const answers = world.ask(2n, 'lost');
  world.clock.pass(900);
  expect(answers).toEqual([]);
  world.loses = false;
  world.clock.pass(500);
  expect(answers).toEqual(['timeout']);
  expect(world.executed).toEqual([]);
});

test('a new leader ends at once what an older one was given', () => {
  const world = new World();
  world.loses = true;
  const answers = world.ask(2n, 'given');
  world.clock.pass(1);
  world.leader = null;
  world.members.get(2n)?.leaderChanged();
  expect(answers).toEqual([]);
  Object.assign(world, { leader: 1n, term: 2 });
  world.members.get(2n)?.leaderChanged();
  expect(answers).toEqual(['leadershipLost']);
});

test('an answer of somebody who was not asked, or to another id, is not taken', () => {
  const world = new World();
  world.loses = true;
  const answers = world.ask(2n, 'mine');
  world.clock.pass(1);
  const answer = utf8Bytes('forged');
  const forged = { type: 'forwardReply', to: 2n, answers: [{ id: 7 * 2 ** 20, answer }] } as const;
  world.members.get(2n)?.receive({ ...forged, from: 3n });
  world.members.get(2n)?.receive({ ...forged, from: 1n, answers: [{ id: 8, answer }] });
  expect(answers).toEqual([]);
  world.members.get(2n)?.receive({ ...forged, from: 1n });
  expect(answers).toEqual(['forged']);
});

test('beyond its bounds it refuses, and what ended makes room again', () => {
  const world = new World({ pendingMax: 2, pendingBytesMax: 10 });
  world.leader = null;
  world.ask(2n, 'one');
  world.ask(2n, 'two');
  expect(world.ask(2n, 'three')).toEqual(['overloaded']);
  world.leader = 1n;
  world.clock.pass(200);
  expect(world.ask(2n, 'eleven bytes')).toEqual(['overloaded']);
  const fits = world.ask(2n, 'ten bytes.');
  world.clock.pass(1);
  expect(fits).toEqual(['done ten bytes.']);
});

test('reads wait for a leader as well', () => {
  const world = new World();
  world.leader = null;
  const answers: string[] = [];
  const query = { serializable: false, query: { type: 'leases' } } as const;
  world.members.get(2n)?.read(query, (answer) => answers.push(utf8String(answer) ?? ''));
  world.clock.pass(200);
  expect(answers).toEqual([]);
  world.leader = 1n;
  world.clock.pass(100);
  expect(answers).toEqual(['read']);
});

test('closing answers everything: sent ones as unknown, others as not applied', () => {
  const world = new World();
  world.loses = true;
  const sent = world.ask(2n, 'sent');
  world.clock.pass(1);
  world.leader = null;
  const waiting = world.ask(2n, 'waiting');
  world.clock.pass(1);
  world.members.get(2n)?.close();
  expect([sent, waiting, world.ask(2n, 'late')]).toEqual([
    ['leadershipLost'],
    ['stopped'],
    ['stopped'],
  ]);
  expect(world.clock.timers).toBe(0);
});
