import { assert, Prng } from '../../lib/index.ts';
import {
  type ConfChange,
  type ConfState,
  type MemberId,
  type Message,
  type ProposeResult,
  RAFT_LIMITS,
  type Raft,
  type RaftLimits,
} from '../index.ts';
import { Member, type MemberState, type Observation } from './member.ts';
import { Oracle } from './oracle.ts';

/** Everything that can be seen from outside, in order. */
export type ClusterEvent =
  | { readonly type: 'delivered'; readonly message: Message }
  | { readonly type: 'lost'; readonly message: Message }
  | { readonly type: 'member'; readonly member: Member; readonly observation: Observation };

/** Which group to make; all members of it start at once. */
export interface ClusterOptions {
  readonly voters: readonly MemberId[];
  readonly learners?: readonly MemberId[];
  /** Default 10. */
  readonly electionTimeoutTicks?: number;
  /** Default 1. */
  readonly heartbeatTicks?: number;
  readonly limits?: Partial<RaftLimits>;
  /** For the election timeouts. Default 1. */
  readonly seed?: number;
  readonly onEvent?: (event: ClusterEvent) => void;
}

/** Deliveries after which a group that still talks is taken to talk for ever. */
const DELIVERIES_MAX = 200_000;

/**
 * A group of cores in memory. Nothing happens by itself: a message waits in `network` until it is
 * delivered, dropped or copied, a tick is given, a slow disk is told to finish. After every step
 * the oracle judges the member that took it. The same calls give the same history.
 */
export class Cluster {
  readonly members = new Map<MemberId, Member>();
  readonly oracle: Oracle;
  /** Messages sent and not yet delivered, oldest first. Tests may reorder them at will. */
  network: Message[] = [];
  /** Configuration at index 0. */
  readonly confState: ConfState;
  readonly #options: ClusterOptions;
  readonly #cuts = new Set<string>();
  readonly #forcedTimeouts = new Map<MemberId, number>();

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.confState = {
      voters: options.voters,
      outgoingVoters: [],
      learners: options.learners ?? [],
      learnersNext: [],
      autoLeave: false,
    };
    this.oracle = new Oracle(this.members, this.confState);
    for (const id of [...options.voters, ...(options.learners ?? [])]) this.join(id);
  }

  get electionTimeoutTicks(): number {
    return this.#options.electionTimeoutTicks ?? 10;
  }

  member(id: MemberId): Member {
    const member = this.members.get(id);
    assert(member !== undefined, 'no such member', { id });
    return member;
  }

  raft(id: MemberId): Raft {
    return this.member(id).raft;
  }

  state(id: MemberId): MemberState {
    return this.member(id).state;
  }

  /** The leader of the highest term among the members that are up; null for none. */
  get leader(): MemberId | null {
    let found: Member | null = null;
    for (const member of this.members.values()) {
      if (!member.isUp || member.raft.role !== 'leader') continue;
      if (found === null || member.raft.term > found.raft.term) found = member;
    }
    return found?.id ?? null;
  }

  // ── members ───────────────────────────────────────────────────────────────────────────────────

  /** Starts a member with an empty disk; it learns of its membership from the log. */
  join(id: MemberId): void {
    const prng = new Prng((this.#options.seed ?? 1) * 1000 + Number(id));
    const member = new Member({
      id,
      confState: this.confState,
      random: { uint32: () => this.#forcedTimeouts.get(id) ?? prng.uint32() },
      electionTimeoutTicks: this.electionTimeoutTicks,
      heartbeatTicks: this.#options.heartbeatTicks ?? 1,
      limits: { ...RAFT_LIMITS, ...this.#options.limits },
      observe: (who, observation) => this.#observe(who, observation),
    });
    assert(!this.members.has(id), 'the member exists', { id });
    this.members.set(id, member);
    member.start();
    this.oracle.inspect(member);
  }

  /** Of the Readies that wait for its disk the first `survivors` are found again, no others. */
  crash(id: MemberId, survivors = 0): void {
    this.member(id).crash(survivors);
    this.oracle.synced(this.member(id));
  }

  /** `applied`: how far its state machine is found again; capped by the commit on disk. */
  restart(id: MemberId, applied = 0): void {
    const member = this.member(id);
    member.start(Math.min(applied, member.disk.hardState?.commitIndex ?? 0));
    this.oracle.inspect(member);
  }

  /**
   * Takes the disk from a member that is down, and gives it an empty one with the hard state of a
   * member that rejoins. What is on its way to the old process dies with its connections.
   */
  replaceDisk(id: MemberId, start: { term: number; floorTerm: number | null }): void {
    this.oracle.diskLost(this.member(id));
    this.member(id).replaceDisk(start);
    this.drop(({ to }) => to === id);
  }

  /** Any call into a member's core, then all that follows from it, judged. */
  run<T>(id: MemberId, action: (raft: Raft) => T): T {
    const member = this.member(id);
    const result = member.run(action);
    this.oracle.inspect(member);
    return result;
  }

  campaign(id: MemberId): void {
    this.run(id, (raft) => raft.campaign());
  }

  /**
   * Makes `id` leader by its own vote and those of `voters`: time passes until they hear no leader,
   * and what else is under way is lost. Its first AppendEntries are left in the network.
   */
  elect(id: MemberId, voters: readonly MemberId[]): void {
    const among = [id, ...voters];
    for (const each of among) this.tick(each, 2 * this.electionTimeoutTicks);
    for (let attempt = 0; attempt < 5 && this.raft(id).role !== 'leader'; attempt++) {
      this.drop(() => true);
      this.campaign(id);
      this.stabilize(among, ({ type }) => /vote/i.test(type));
    }
    const { role, term } = this.raft(id);
    assert(role === 'leader', 'not elected', { id, role, term });
    this.drop((message) => message.type !== 'appendEntries' || message.term !== term);
  }

  tick(id: MemberId, count = 1): void {
    for (let i = 0; i < count; i++) this.run(id, (raft) => raft.tick());
  }

  /** One tick for every member that is up. */
  tickAll(count = 1): void {
    for (let i = 0; i < count; i++) {
      for (const member of this.members.values()) if (member.isUp) this.tick(member.id);
    }
  }

  /** From now on this member draws the number for its election timeouts; null: by chance again. */
  forceTimeout(id: MemberId, ticks: number | null): void {
    if (ticks === null) this.#forcedTimeouts.delete(id);
    else this.#forcedTimeouts.set(id, drawFor(ticks, this.electionTimeoutTicks));
  }

  propose(id: MemberId, text: string): ProposeResult {
    return this.run(id, (raft) => raft.propose(new TextEncoder().encode(text)));
  }

  changeConf(id: MemberId, change: ConfChange): ProposeResult {
    return this.run(id, (raft) => raft.proposeConfChange(change));
  }

  readIndex(id: MemberId, requestId: number): void {
    this.oracle.readRequested(id, this.member(id).incarnation, requestId);
    this.run(id, (raft) => raft.readIndex(requestId));
  }

  transfer(id: MemberId, to: MemberId): boolean {
    return this.run(id, (raft) => raft.transferLeadership(to));
  }

  /** Cuts the log at `index` (default: as far as possible); false when there is nothing to cut. */
  compact(id: MemberId, index?: number): boolean {
    const member = this.member(id);
    const at = Math.min(index ?? member.compactIndexMax, member.compactIndexMax);
    if (at < member.log.firstIndex) return false;
    member.compact(at, this.oracle.confAt(at));
    this.oracle.inspect(member);
    return true;
  }

  /** A slow disk finishes what waits for it, or its first `count` Readies. */
  sync(id: MemberId, count?: number): void {
    const member = this.member(id);
    member.sync(count);
    this.oracle.inspect(member);
  }

  // ── network ───────────────────────────────────────────────────────────────────────────────────

  /** Loses what is sent from now on; what is under way stays under way. */
  cut(from: MemberId, to: MemberId): void {
    this.#cuts.add(`${from}>${to}`);
  }

  /** Cuts all links from and to a member. */
  isolate(id: MemberId): void {
    for (const other of this.members.keys()) {
      if (other === id) continue;
      this.cut(id, other);
      this.cut(other, id);
    }
  }

  /** All links work again. */
  heal(): void {
    this.#cuts.clear();
  }

  isCut(from: MemberId, to: MemberId): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  /** Takes matching messages out of the network. */
  take(match: (message: Message) => boolean): Message[] {
    const taken = this.network.filter(match);
    this.network = this.network.filter((message) => !taken.includes(message));
    return taken;
  }

  /** Loses matching messages that are under way. */
  drop(match: (message: Message) => boolean): void {
    for (const message of this.take(match)) this.#emit({ type: 'lost', message });
  }

  /** Hands over one message; it need not be in the network (a copy, an old one). */
  deliver(message: Message): void {
    const at = this.network.indexOf(message);
    if (at >= 0) this.network.splice(at, 1);
    const receiver = this.members.get(message.to);
    if (receiver === undefined || !receiver.isUp) {
      this.#emit({ type: 'lost', message });
      return;
    }
    this.#emit({ type: 'delivered', message });
    this.run(message.to, (raft) => raft.step(message));
  }

  /** Delivers what is under way among `ids`, oldest first, and what follows, until it is quiet. */
  stabilize(
    ids: readonly MemberId[] = [...this.members.keys()],
    match: (message: Message) => boolean = () => true,
  ): void {
    const among = ({ from, to }: Message): boolean => ids.includes(from) && ids.includes(to);
    for (let i = 0; i < DELIVERIES_MAX; i++) {
      const next = this.network.find((message) => among(message) && match(message));
      if (next === undefined) return;
      this.deliver(next);
    }
    assert(false, 'the group does not come to rest', { deliveries: DELIVERIES_MAX });
  }

  // ── what members do ───────────────────────────────────────────────────────────────────────────

  #observe(member: Member, observation: Observation): void {
    this.#emit({ type: 'member', member, observation });
    switch (observation.type) {
      case 'ready':
        this.oracle.readyTaken(member, observation.ready);
        return;
      case 'sent':
        this.#send(member, observation.message);
        return;
      case 'applied':
        this.oracle.applied(member, observation.entry);
        return;
      case 'read':
        this.oracle.readAnswered(member, observation.state);
        return;
      case 'synced':
        this.oracle.synced(member);
        return;
    }
  }

  #send(member: Member, message: Message): void {
    this.oracle.sent(member, message);
    if (this.isCut(message.from, message.to)) this.#emit({ type: 'lost', message });
    else this.network.push(message);
  }

  #emit(event: ClusterEvent): void {
    this.#options.onEvent?.(event);
  }
}

/**
 * A 32-bit draw that yields a timeout of `ticks` whether the core scales it or takes the remainder:
 * tests shouldn't depend on which.
 */
function drawFor(ticks: number, electionTimeoutTicks: number): number {
  const offset = ticks - electionTimeoutTicks;
  assert(offset >= 0 && offset < electionTimeoutTicks, 'timeout out of range', { ticks });
  let draw = Math.ceil((offset / electionTimeoutTicks) * 2 ** 32);
  while (draw % electionTimeoutTicks !== offset) draw += 1;
  return draw;
}
