import { expect, test } from 'vitest';
import { Prng } from '../../lib/index.ts';
import type { Answer } from '../../server/ask-terms.ts';
import { floorOf } from '../../server/floor.ts';
import type { MemberId } from '../index.ts';
import { Cluster } from './cluster.ts';

/** `SEED=42` replays one seed; `SEEDS=10000` looks further. */
const SEED = process.env['SEED'];
const SEEDS = Number(process.env['SEEDS'] ?? 60);
const STEPS = 1500;

/** A member that lost its disk, and what the others told it since. */
interface Lost {
  readonly answers: Map<MemberId, Answer>;
  /** Highest term in which it can have voted, when the damage left that; null: unknown. */
  readonly salvagedTerm: number | null;
}

/** How a member comes back; null: it has to wait. */
type Rule = (lost: Lost, membersMax: number) => { term: number; floorTerm: number | null } | null;

const theRule: Rule = ({ answers, salvagedTerm }, membersMax) => {
  const heard = floorOf(answers, { membersMax, needsAll: salvagedTerm === null });
  if (heard === null) return null;
  const floorTerm = Math.max(heard, salvagedTerm ?? 0);
  return { term: floorTerm + 1, floorTerm };
};

/** Comes back at once, as if it had never been there. */
const forgetful: Rule = () => ({ term: 1, floorTerm: null });

/** Asks, and then votes before it has caught up. */
const hasty: Rule = (lost, membersMax) => {
  const start = theRule(lost, membersMax);
  return start === null ? null : { ...start, floorTerm: null };
};

/** Dice over a group whose members lose messages, crash, and lose their disks. */
class Storm {
  readonly cluster: Cluster;
  readonly #prng: Prng;
  readonly #ids: readonly MemberId[];
  readonly #rule: Rule;
  readonly #lost = new Map<MemberId, Lost>();
  readonly #floors = new Map<MemberId, number>();
  /** More at a time may lose their disk than a group survives: then it has to stand still. */
  readonly isHopeless: boolean;
  rejoined = 0;
  #isCalm = false;

  constructor(seed: number, rule: Rule) {
    this.#prng = new Prng(seed);
    this.#rule = rule;
    this.isHopeless = this.#prng.chance(0.3);
    const size = this.#prng.chance(0.6) ? 3 : 5;
    this.#ids = Array.from({ length: size }, (_, i) => BigInt(i + 1));
    this.cluster = new Cluster({ voters: this.#ids, seed, limits: { appendBytesMax: 100 } });
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) this.#step();
  }

  /** Everybody is up and reachable again: the group must lead and commit. */
  calm(): number {
    const { cluster } = this;
    this.#isCalm = true;
    cluster.heal();
    for (const id of this.#ids) {
      if (!cluster.member(id).isUp && !this.#lost.has(id)) cluster.restart(id);
    }
    for (let ticks = 0; ticks < 400; ticks++) {
      for (const id of this.#ids) for (const lost of this.#lost.keys()) this.#ask(lost, id);
      for (const id of [...this.#lost.keys()]) this.#rejoin(id);
      cluster.tickAll();
      cluster.stabilize();
      const { leader } = cluster;
      if (leader === null) continue;
      const proposed = cluster.propose(leader, 'calm');
      cluster.stabilize();
      const isCommitted =
        proposed.accepted && cluster.oracle.entryAt(proposed.index)?.term === proposed.term;
      if (isCommitted && this.#lost.size === 0) return proposed.index;
    }
    throw new Error('no leader commits in the calm');
  }

  #step(): void {
    const { cluster } = this;
    const dice = this.#prng.below(1000);
    const id = this.#any();
    const { isUp } = cluster.member(id);
    if (dice < 640) this.#deliver();
    else if (dice < 780 && isUp) cluster.tick(id, 1 + this.#prng.below(4));
    else if (dice < 840 && cluster.leader !== null) cluster.propose(cluster.leader, `c${dice}`);
    else if (dice < 855) cluster.drop((message) => message === cluster.network[0]);
    else if (dice < 863) cluster.isolate(id);
    else if (dice < 875) cluster.heal();
    else if (dice < 885 && isUp) cluster.crash(id);
    else if (dice < 905 && !isUp && !this.#lost.has(id)) cluster.restart(id);
    else if (dice < 912 && isUp) cluster.compact(id);
    else if (dice < 922) this.#lose(id);
    else if (dice < 960) for (const lost of this.#lost.keys()) this.#ask(lost, id);
    else if (this.#lost.has(id)) this.#rejoin(id);
  }

  #any(): MemberId {
    return this.#ids[this.#prng.below(this.#ids.length)] as MemberId;
  }

  #deliver(): void {
    const { network } = this.cluster;
    const at = this.#prng.chance(0.7) ? 0 : this.#prng.below(network.length);
    const message = network[at];
    if (message !== undefined) this.cluster.deliver(message);
  }

  #lose(id: MemberId): void {
    const member = this.cluster.member(id);
    const { hardState } = member.disk;
    if (this.#lost.has(id) || hardState === null) return;
    const inDoubt = this.#ids.filter((each) => each !== id && this.#isInDoubt(each)).length;
    if (!this.isHopeless && inDoubt >= Math.floor((this.#ids.length - 1) / 2)) return;
    if (member.isUp) this.cluster.crash(id);
    const salvagedTerm = this.#prng.chance(0.5) ? hardState.term : null;
    this.#lost.set(id, { answers: new Map(), salvagedTerm });
  }

  #isInDoubt(id: MemberId): boolean {
    const { log } = this.cluster.member(id).disk;
    const floorTerm = this.#floors.get(id) ?? -1;
    return this.#lost.has(id) || (log.termAt(log.lastIndex) ?? 0) <= floorTerm;
  }

  #ask(id: MemberId, other: MemberId): void {
    const lost = this.#lost.get(id);
    if (lost === undefined || id === other) return;
    const member = this.cluster.member(other);
    if (member.isUp)
      lost.answers.set(other, { type: 'runs', term: member.raft.term, wasNew: false });
    else if (this.#lost.has(other) && lost.answers.get(other)?.type !== 'runs') {
      lost.answers.set(other, { type: 'asks', isNew: false, hearsUs: true });
    }
  }

  #rejoin(id: MemberId): void {
    const lost = this.#lost.get(id);
    const start = lost === undefined ? null : this.#rule(lost, this.#ids.length);
    if (start === null) return;
    this.#lost.delete(id);
    this.#floors.set(id, start.floorTerm ?? -1);
    this.cluster.replaceDisk(id, start);
    this.cluster.restart(id);
    this.rejoined++;
    if (!this.#isCalm && this.#prng.chance(0.5)) this.#strike(id);
  }

  /** The worst moment: whoever has most of what the one that is back lacks is gone. */
  #strike(id: MemberId): void {
    const { cluster } = this;
    const others = this.#ids.filter((each) => each !== id && cluster.member(each).isUp);
    others.sort((a, b) => cluster.raft(b).lastIndex - cluster.raft(a).lastIndex);
    const [richest, ...rest] = others;
    if (richest === undefined) return;
    cluster.isolate(richest);
    for (const each of [id, ...rest]) cluster.tick(each, cluster.electionTimeoutTicks);
    for (const each of rest) cluster.campaign(each);
    cluster.stabilize();
  }
}

function run(seed: number, rule: Rule): Storm {
  const storm = new Storm(seed, rule);
  try {
    storm.run(STEPS);
    if (!storm.isHopeless) storm.calm();
  } catch (cause) {
    const replay = `SEED=${seed} npx vitest run src/raft/testing/rejoin.test.ts`;
    throw new Error(`seed ${seed} failed: ${replay}`, { cause });
  }
  return storm;
}

const seeds = SEED === undefined ? Array.from({ length: SEEDS }, (_, i) => i) : [Number(SEED)];

test('members that lose their disks and rejoin by the rule never cost a committed entry', () => {
  let committed = 0;
  let rejoined = 0;
  for (const seed of seeds) {
    const storm = run(seed, theRule);
    committed += storm.cluster.oracle.commitIndex;
    rejoined += storm.rejoined;
  }
  expect(committed).toBeGreaterThan(5 * seeds.length);
  expect(rejoined).toBeGreaterThan(seeds.length / 2);
});

test('a member that does not ask breaks what was promised in the same storms', () => {
  const broken = seeds.filter((seed) => {
    try {
      new Storm(seed, forgetful).run(STEPS);
      return false;
    } catch (error) {
      return (
        error instanceof Error &&
        /entries that it had acknowledged|leader lacks|two votes/.test(error.message)
      );
    }
  });
  expect(broken.length).toBeGreaterThan(seeds.length / 10);
});

/** Member 2 loses its disk, with it an entry that 3 never had, and comes back when 1 is gone. */
function loseTheOnlyWitness(rule: Rule): Cluster {
  const cluster = new Cluster({ voters: [1n, 2n, 3n] });
  cluster.elect(1n, [2n, 3n]);
  cluster.stabilize();
  cluster.isolate(3n);
  cluster.propose(1n, 'acknowledged');
  cluster.stabilize();
  cluster.crash(2n);
  const answers = new Map<MemberId, Answer>();
  for (const id of [1n, 3n])
    answers.set(id, { type: 'runs', term: cluster.raft(id).term, wasNew: false });
  const start = rule({ answers, salvagedTerm: null }, 3);
  if (start === null) throw new Error('both have answered');
  cluster.replaceDisk(2n, start);
  cluster.crash(1n);
  cluster.heal();
  cluster.restart(2n);
  for (let i = 0; i < 5; i++) {
    cluster.tick(3n, 2 * cluster.electionTimeoutTicks);
    cluster.stabilize([2n, 3n]);
  }
  return cluster;
}

test('a member that is back does not help one to lead that lacks what it had acknowledged', () => {
  const cluster = loseTheOnlyWitness(theRule);
  expect(cluster.leader).toBeNull();
  cluster.restart(1n);
  cluster.elect(1n, [3n]);
  cluster.stabilize();
  expect(cluster.member(2n).log.entries).toEqual(cluster.member(1n).log.entries);
});

test('one that votes before it has caught up does', () => {
  expect(() => loseTheOnlyWitness(hasty)).toThrow('leader lacks a committed entry');
});
