import { afterEach, describe, expect, test } from 'vitest';
import { silentLog } from '../io/index.ts';
import { VirtualClock } from '../replica/testing/virtual-clock.ts';
import type { StateHash } from '../transport/index.ts';
import { Divergence } from './divergence.ts';

/** Members that tell each other how their states look; each has its own idea of the state. */
class World {
  readonly clock = new VirtualClock();
  readonly states: string[];
  readonly members: Divergence[];
  readonly stopped: string[] = [];
  readonly alarms: string[] = [];

  constructor(size: number) {
    const voters = Array.from({ length: size }, (_, i) => BigInt(i + 1));
    this.states = voters.map(() => '00'.repeat(16));
    this.members = voters.map(
      (memberId, i) =>
        new Divergence({
          memberId,
          voters,
          clock: this.clock,
          log: { ...silentLog, error: (message) => void this.alarms.push(`${i}: ${message}`) },
          stateHash: () => this.states[i] ?? '',
          send: (message) => this.deliver(message),
          onDiverged: (error) => void this.stopped.push(`${i}: ${error.message}`),
        }),
    );
  }

  deliver(message: StateHash): void {
    this.members[Number(message.to) - 1]?.receive(message);
  }

  close(): void {
    for (const member of this.members) member.close();
  }
}

let world: World;
afterEach(() => world.close());

describe('members that compare their states', () => {
  test('say nothing while they are equal, however far they are apart', () => {
    world = new World(3);
    for (let index = 1; index <= 320; index++) {
      world.members[0]?.applied(index);
      if (index <= 200) world.members[1]?.applied(index);
      if (index === 160) world.clock.advance(1_000);
    }
    world.clock.advance(1_000);
    for (let index = 201; index <= 320; index++) world.members[1]?.applied(index);
    for (let index = 1; index <= 320; index++) world.members[2]?.applied(index);
    world.clock.advance(5_000);
    expect([world.alarms, world.stopped]).toEqual([[], []]);
  });

  test('one that differs stops within seconds, and the others name it', () => {
    world = new World(3);
    world.states[1] = '01'.repeat(16);
    for (const member of world.members) member.applied(16);
    world.clock.advance(2_000);
    expect(world.stopped).toHaveLength(1);
    expect(world.stopped[0]).toMatch(/^1: this member's state at entry 16 is not that of 2 others/);
    expect(world.members[0]?.disagreeing).toEqual([2n]);
    expect(world.alarms.filter((alarm) => alarm.startsWith('2:'))).toHaveLength(1);
  });

  test('a state that differs at a place not reached yet is compared when it is', () => {
    world = new World(3);
    world.states[0] = '01'.repeat(16);
    world.members[1]?.applied(32);
    world.members[2]?.applied(32);
    world.clock.advance(1_000);
    expect(world.alarms).toEqual([]);
    world.members[0]?.applied(32);
    expect(world.stopped).toHaveLength(1);
  });

  test('two of two that differ raise an alarm each and go on: nobody knows who is right', () => {
    world = new World(2);
    world.states[0] = '01'.repeat(16);
    for (const member of world.members) member.applied(48);
    world.clock.advance(3_000);
    expect(world.stopped).toEqual([]);
    expect(world.alarms).toHaveLength(2);
  });

  test('one of five against four stops, four against one do not', () => {
    world = new World(5);
    world.states[4] = '01'.repeat(16);
    for (const member of world.members) member.applied(16);
    world.clock.advance(2_000);
    expect(world.stopped.map((line) => line[0])).toEqual(['4']);
  });

  test('members that agree again after a snapshot are no longer named', () => {
    world = new World(3);
    world.states[1] = '01'.repeat(16);
    world.members[0]?.applied(16);
    world.members[1]?.applied(16);
    world.clock.advance(1_000);
    expect(world.members[0]?.disagreeing).toEqual([2n]);
    world.states[1] = world.states[0] ?? '';
    for (const member of world.members) member.applied(32);
    world.clock.advance(1_000);
    expect(world.members[0]?.disagreeing).toEqual([]);
  });
});
