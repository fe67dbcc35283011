import { assert, EMPTY_BYTES, Prng } from '../../lib/index.ts';
import type { ConfChange, Entry, MemberChange, MemberId, Message, Ready } from '../index.ts';
import { Cluster, type ClusterEvent } from './cluster.ts';
import { showEvent } from './format.ts';
import { everyone, isQuorum } from './membership.ts';

const NETWORK_MAX = 200;
const TRACE_EVENTS = 60;
const SPARE_MEMBERS = 2;
/** Bounds of the calm phase, in longest election timeouts: L1 and L4 of the liveness promises. */
const LEADER_WITHIN = 10;
const CAUGHT_UP_WITHIN = 20;

type Action = () => void;

/** Corners that random schedules have to come to, or they prove less than they seem to. */
export const CORNERS = [
  'pre-vote refused',
  'vote refused',
  'append refused',
  'suffix overwritten',
  'configuration cut off',
  'simple change',
  'joint change',
  'joint left',
  'snapshot installed',
  'leadership transferred',
  'read served',
  'read refused',
  'read forwarded',
  'write lost in a crash',
] as const;

export type Corner = (typeof CORNERS)[number];

/**
 * Dice over a cluster. One seed fixes the size, the mix of faults and every step. First the storm:
 * messages lost, copied and reordered, links cut, crashes that lose what was not synced, proposals,
 * reads, configuration changes, transfers, compactions. Then the calm: a random majority is healed,
 * the others stay as they are for ever, and the majority must elect, commit and catch up in time.
 */
export class Schedule {
  readonly cluster: Cluster;
  readonly #prng: Prng;
  readonly #actions: readonly (readonly [weight: number, action: Action])[];
  readonly #weightSum: number;
  /** How often each corner was reached. */
  readonly corners = new Map<Corner, number>();
  readonly #trace: ClusterEvent[] = [];
  readonly #written = new Map<MemberId, { last: number; conf: number }>();
  readonly #idMax: number;
  #requestId = 0;
  #commands = 0;

  constructor(seed: number) {
    this.#prng = new Prng(seed);
    const size = this.#prng.chance(0.7) ? 3 : 5;
    const voters = Array.from({ length: size }, (_, i) => BigInt(i + 1));
    this.#idMax = size + SPARE_MEMBERS;
    this.cluster = new Cluster({
      voters,
      seed,
      limits: { appendBytesMax: 100, inflightAppendsMax: 4, applyBytesMax: 200 },
      onEvent: (event) => this.#remember(event),
    });
    this.#actions = this.#mix();
    this.#weightSum = this.#actions.reduce((sum, [weight]) => sum + weight, 0);
  }

  /** The last events as text, oldest first. */
  get trace(): string {
    return this.#trace.flatMap(showEvent).join('\n');
  }

  /** Faults and load, `steps` times. */
  storm(steps: number): void {
    for (let i = 0; i < steps; i++) {
      let at = this.#prng.below(this.#weightSum);
      const chosen = this.#actions.find(([weight]) => {
        at -= weight;
        return at < 0;
      });
      chosen?.[1]();
      const { network } = this.cluster;
      if (network.length > NETWORK_MAX) network.splice(0, network.length - NETWORK_MAX);
    }
  }

  /** Heals a majority and demands progress of it. */
  calm(): void {
    const core = this.#chooseCore();
    this.#healCore(core);
    const timeout = this.cluster.electionTimeoutTicks * 2;
    const index = this.#until(LEADER_WITHIN * timeout, core, 'no leader commits', () =>
      this.#commitSomething(core),
    );
    this.#until(CAUGHT_UP_WITHIN * timeout, core, 'a member does not catch up', () =>
      this.#caughtUp(core, index) ? index : null,
    );
    const open = this.cluster.oracle.openReads();
    const ours = open.filter((key) => core.includes(BigInt(key.split('/')[0] ?? '')));
    assert(ours.length === 0, 'reads without an answer', { ours });
  }

  // ── the storm ─────────────────────────────────────────────────────────────────────────────────

  /** Every seed has its own mix: some faults are absent, some frequent. */
  #mix(): [number, Action][] {
    const sometimes = (weight: number): number => weight * ([0, 1, 3][this.#prng.below(3)] ?? 1);
    return [
      [900, () => this.#deliver()],
      [160, () => this.#withMember((id) => this.cluster.tick(id, 1 + this.#prng.below(3)))],
      [10, () => this.cluster.tickAll()],
      [sometimes(60), () => this.#withMember((id) => this.#batch(id))],
      [80, () => this.#propose()],
      [30, () => this.#read()],
      [sometimes(30), () => this.#drop()],
      [sometimes(30), () => this.#copy()],
      [sometimes(8), () => this.#withMember((id) => this.#crash(id))],
      [20, () => this.#restart()],
      [sometimes(8), () => this.#cut()],
      [sometimes(12), () => this.#depose()],
      [12, () => this.cluster.heal()],
      [sometimes(10), () => this.#withMember((id) => this.#slowDisk(id))],
      [30, () => this.#withMember((id) => this.#sync(id))],
      [sometimes(20), () => this.#changeConf()],
      [sometimes(6), () => this.#transfer()],
      [sometimes(10), () => this.#withMember((id) => this.cluster.compact(id))],
      [sometimes(6), () => this.#report()],
      [sometimes(3), () => this.#withMember((id) => this.cluster.campaign(id))],
    ];
  }

  #pick<T>(items: readonly T[]): T | null {
    return items[this.#prng.below(items.length)] ?? null;
  }

  #withMember(action: (id: MemberId) => void): void {
    const up = [...this.cluster.members.values()].filter((member) => member.isUp);
    const member = this.#pick(up);
    if (member !== null) action(member.id);
  }

  /** Mostly one that leads, in whatever term; now and then anyone. */
  #withLeader(action: (id: MemberId) => void): void {
    const all = [...this.cluster.members.values()];
    const leader = this.#pick(all.filter((member) => member.isUp && member.raft.role === 'leader'));
    if (leader !== null && this.#prng.chance(0.9)) action(leader.id);
    else this.#withMember(action);
  }

  /** Messages, ticks and a proposal between two Readies of a member, as a busy driver has it. */
  #batch(id: MemberId): void {
    const messages = this.cluster.take((message) => message.to === id && this.#prng.chance(0.5));
    const ticks = this.#prng.below(3);
    this.cluster.run(id, (raft) => {
      for (const message of messages) raft.step(message);
      for (let i = 0; i < ticks; i++) raft.tick();
      raft.propose(new TextEncoder().encode(`c${++this.#commands}`));
    });
  }

  /** Mostly in order, often not. */
  #deliver(): void {
    const { network } = this.cluster;
    const message = this.#prng.chance(0.6) ? (network[0] ?? null) : this.#pick(network);
    if (message !== null) this.cluster.deliver(message);
  }

  #drop(): void {
    const message = this.#pick(this.cluster.network);
    if (message !== null) this.cluster.drop((each) => each === message);
  }

  #copy(): void {
    const message = this.#pick(this.cluster.network);
    if (message !== null) this.cluster.network.push({ ...message });
  }

  #propose(): void {
    this.#withLeader((id) => this.cluster.propose(id, `c${++this.#commands}`));
  }

  #read(): void {
    this.#withMember((id) => this.cluster.readIndex(id, ++this.#requestId));
  }

  #crash(id: MemberId): void {
    const { pending } = this.cluster.member(id);
    const survivors = this.#prng.below(pending.length + 1);
    if (pending.slice(survivors).some((ready) => ready.mustSync)) {
      this.#reach('write lost in a crash');
    }
    this.cluster.crash(id, survivors);
    const { log } = this.cluster.member(id).disk;
    const conf = log.entries.findLast((entry) => entry.kind === 'confChange')?.index ?? 0;
    this.#written.set(id, { last: log.lastIndex, conf });
  }

  #restart(): void {
    const down = [...this.cluster.members.values()].filter((member) => !member.isUp);
    const member = this.#pick(down);
    if (member === null) return;
    member.diskIsSlow = false;
    this.cluster.restart(member.id, this.#prng.below(member.applied + 1));
  }

  #cut(): void {
    const members = [...this.cluster.members.keys()];
    const [from, to] = [this.#pick(members), this.#pick(members)];
    if (from === null || to === null) return;
    if (this.#prng.chance(0.3)) this.cluster.isolate(from);
    else if (from !== to) this.cluster.cut(from, to);
  }

  /** Cuts a leader off, and lets the others run out of patience. */
  #depose(): void {
    const { leader } = this.cluster;
    if (leader === null) return;
    this.cluster.isolate(leader);
    const proposals = this.#prng.below(8);
    for (let i = 0; i < proposals; i++) this.cluster.propose(leader, `c${++this.#commands}`);
    const ticks = this.cluster.electionTimeoutTicks + this.#prng.below(10);
    for (const { id, isUp } of this.cluster.members.values()) {
      if (isUp && id !== leader) this.cluster.tick(id, ticks);
    }
  }

  #slowDisk(id: MemberId): void {
    const member = this.cluster.member(id);
    member.diskIsSlow = !member.diskIsSlow;
    if (!member.diskIsSlow) this.cluster.sync(id);
  }

  #sync(id: MemberId): void {
    this.cluster.sync(id, this.#prng.below(this.cluster.member(id).pending.length + 1));
  }

  #changeConf(): void {
    this.#withLeader((id) => {
      const change = this.#anyChange(id);
      const changes =
        change.type === 'simple'
          ? [change.change]
          : change.type === 'enterJoint'
            ? change.changes
            : [];
      for (const { memberId } of changes) {
        if (!this.cluster.members.has(memberId)) this.cluster.join(memberId);
      }
      this.cluster.changeConf(id, change);
    });
  }

  #anyChange(id: MemberId): ConfChange {
    const context = EMPTY_BYTES;
    if (this.cluster.raft(id).confState.outgoingVoters.length > 0 && this.#prng.chance(0.7)) {
      return { type: 'leaveJoint', context };
    }
    if (this.#prng.chance(0.6)) return { type: 'simple', change: this.#anyStep(), context };
    const steps = Array.from({ length: 1 + this.#prng.below(3) }, () => this.#anyStep());
    const changes = [...new Map(steps.map((step) => [step.memberId, step])).values()];
    return { type: 'enterJoint', changes, autoLeave: this.#prng.chance(0.7), context };
  }

  #anyStep(): MemberChange {
    const memberId = BigInt(1 + this.#prng.below(this.#idMax));
    const action = this.#pick(['addVoter', 'addVoter', 'addLearner', 'remove'] as const);
    return { action: action ?? 'remove', memberId };
  }

  #transfer(): void {
    const to = this.#pick([...this.cluster.members.keys()]);
    if (to !== null) this.#withLeader((id) => this.cluster.transfer(id, to));
  }

  #report(): void {
    const peer = this.#pick([...this.cluster.members.keys()]);
    if (peer === null) return;
    const isSnapshot = this.#prng.chance(0.5);
    this.#withLeader((id) => {
      this.cluster.run(id, (raft) => {
        if (isSnapshot) raft.reportSnapshot(peer, this.#prng.chance(0.5));
        else raft.reportUnreachable(peer);
      });
    });
  }

  // ── the calm ──────────────────────────────────────────────────────────────────────────────────

  /**
   * A random set with a majority of the committed configuration and of all that stand in anybody's
   * log (who is outside may still be heard): without that, waiting for the others would be right.
   */
  #chooseCore(): MemberId[] {
    const all = [...this.cluster.members.values()];
    for (const member of all) {
      if (!member.isUp) this.cluster.restart(member.id);
    }
    const { oracle } = this.cluster;
    const confs = all.map(({ raft }) => raft.confState);
    confs.push(oracle.confAt(oracle.commitIndex));
    for (let attempt = 0; attempt < 10; attempt++) {
      const core = all.map(({ id }) => id).filter(() => this.#prng.chance(0.7));
      if (confs.every((conf) => isQuorum(conf, (id) => core.includes(id)))) return core;
    }
    return all.map((member) => member.id);
  }

  #healCore(core: readonly MemberId[]): void {
    const { cluster } = this;
    cluster.heal();
    for (const member of cluster.members.values()) {
      const inCore = core.includes(member.id);
      if (inCore) {
        member.diskIsSlow = false;
        cluster.sync(member.id);
        continue;
      }
      const heard = this.#prng.chance(0.5);
      for (const other of cluster.members.keys()) {
        if (other === member.id) continue;
        cluster.cut(other, member.id);
        if (!heard) cluster.cut(member.id, other);
      }
    }
    cluster.drop(({ from, to }) => !core.includes(from) || !core.includes(to));
    for (const id of core) {
      for (const peer of cluster.members.keys()) {
        if (peer !== id) cluster.run(id, (raft) => raft.reportSnapshot(peer, false));
      }
    }
  }

  /** One tick for all, then everything that is under way, until `done` yields a value. */
  #until(
    ticks: number,
    core: readonly MemberId[],
    what: string,
    done: () => number | null,
  ): number {
    for (let i = 0; i < ticks; i++) {
      this.cluster.tickAll();
      this.#flush();
      const result = done();
      if (result !== null) return result;
    }
    const state = core.map((id) => {
      const { role, term, commitIndex, lastIndex } = this.cluster.raft(id);
      return `${id} ${role} term ${term} commit ${commitIndex} last ${lastIndex}`;
    });
    return assert(false, `${what} within ${ticks} ticks`, { core: state.join('; ') }) as never;
  }

  #flush(): void {
    for (let i = 0; this.cluster.network.length > 0; i++) {
      assert(i < 20_000, 'the group does not come to rest');
      const message = this.#pick(this.cluster.network) as Message;
      this.cluster.deliver(message);
    }
  }

  /** The index of a command that the core's leader has just committed; null when it could not. */
  #commitSomething(core: readonly MemberId[]): number | null {
    const { cluster } = this;
    const leaders = core.filter((id) => cluster.raft(id).role === 'leader');
    for (const id of leaders) {
      const proposed = cluster.propose(id, `c${++this.#commands}`);
      if (!proposed.accepted) continue;
      this.#flush();
      if (cluster.oracle.entryAt(proposed.index)?.term === proposed.term) return proposed.index;
    }
    return null;
  }

  #caughtUp(core: readonly MemberId[], index: number): boolean {
    const { cluster } = this;
    const conf = cluster.oracle.confAt(cluster.oracle.commitIndex);
    const wanted = everyone(conf).filter((id) => core.includes(id));
    const open = cluster.oracle.openReads();
    const waits = core.some((id) => open.some((key) => key.startsWith(`${id}/`)));
    return !waits && wanted.every((id) => cluster.member(id).applied >= index);
  }

  #remember(event: ClusterEvent): void {
    this.#trace.push(event);
    if (this.#trace.length > TRACE_EVENTS) this.#trace.shift();
    if (event.type !== 'member') return;
    const { member, observation } = event;
    if (observation.type === 'ready') this.#noteReady(member.id, observation.ready);
    if (observation.type === 'sent') this.#noteMessage(observation.message);
    if (observation.type === 'applied') this.#noteApplied(observation.entry);
    if (observation.type === 'read') {
      this.#reach(observation.state.readIndex === null ? 'read refused' : 'read served');
    }
  }

  #reach(corner: Corner): void {
    this.corners.set(corner, (this.corners.get(corner) ?? 0) + 1);
  }

  #noteMessage(message: Message): void {
    if (message.type === 'preVoteReply' && !message.granted) this.#reach('pre-vote refused');
    if (message.type === 'requestVoteReply' && !message.granted) this.#reach('vote refused');
    if (message.type === 'appendEntriesReply' && !message.accepted) this.#reach('append refused');
    if (message.type === 'requestVote' && message.leadershipTransfer) {
      this.#reach('leadership transferred');
    }
    if (message.type === 'readIndexReply' && message.readIndex !== null) {
      this.#reach('read forwarded');
    }
  }

  #noteApplied(entry: Entry): void {
    if (entry.kind !== 'confChange') return;
    if (entry.change.type === 'simple') this.#reach('simple change');
    if (entry.change.type === 'enterJoint') this.#reach('joint change');
    if (entry.change.type === 'leaveJoint') this.#reach('joint left');
  }

  #noteReady(id: MemberId, { snapshot, entries }: Ready): void {
    const written = this.#written.get(id) ?? { last: 0, conf: 0 };
    if (snapshot !== null) {
      this.#reach('snapshot installed');
      written.last = snapshot.index;
    }
    const first = entries[0]?.index ?? Number.MAX_SAFE_INTEGER;
    if (first <= written.last) this.#reach('suffix overwritten');
    if (first <= written.conf) this.#reach('configuration cut off');
    if (first <= written.conf) written.conf = 0;
    for (const entry of entries) {
      written.last = entry.index;
      if (entry.kind === 'confChange') written.conf = entry.index;
    }
    this.#written.set(id, written);
  }
}
