import type { MemberId } from '../raft/index.ts';
import type { ClerkActor } from './clerk-actor.ts';
import { delayVotes } from './late-votes.ts';
import type { FaultKind, FaultPlan } from './plan.ts';
import type { Process } from './process.ts';
import type { Device } from './sim-disk.ts';
import type { CommitFault } from './sim-engines.ts';
import type { SimMember } from './sim-member.ts';
import type { SnapshotPhase } from './snapshot-watch.ts';
import type { Stage } from './stage.ts';
import type { Stream } from './streams.ts';

/** What a fault did. */
export interface Harm {
  /** To whom, in words. */
  readonly what: string;
  /** How long it is at work, milliseconds; 0: it is over at once. */
  readonly lastsMs: number;
}

/** Does one fault, drawing from its own stream; null when there was nothing to do it to. */
export type Inject = (fault: FaultPlan, stream: Stream) => Harm | null;

/** What a fault may ask of whoever schedules them. */
export interface Scheduler {
  /** Runs something later, unless the faults have frozen by then. */
  later(delayMs: number, run: () => void): void;
}

type LinkFault = 'isolate' | 'oneWay' | 'partial' | 'clog' | 'slowLink';
type MemberFault = 'kill' | 'powerCut' | 'crashAtStep' | 'stop';
type DiskLoss = 'damage' | 'damageState' | 'wipeDisk' | 'rollBackDisk';
type DiskFaultKind = 'stallDisk' | 'diskError' | 'diskFull' | 'commitError' | 'crashAtCommit';

const CRASHES = ['crashBefore', 'crashAfter'] as const;
/** A disk is set back in the first moment that suits, looked for so often. */
const ROLLBACK_TRIES = 50;
const ROLLBACK_RETRY_MS = 20;
const DAY_MS = 24 * 60 * 60 * 1_000;

/** All that can be done to what stands on a stage. */
export function injectorOf(stage: Stage, scheduler: Scheduler): Inject {
  const injector = new Injector(stage, scheduler);
  return (fault, stream) => injector.inject(fault, stream);
}

class Injector {
  readonly #stage: Stage;
  readonly #scheduler: Scheduler;

  constructor(stage: Stage, scheduler: Scheduler) {
    this.#stage = stage;
    this.#scheduler = scheduler;
  }

  inject(fault: FaultPlan, stream: Stream): Harm | null {
    const { kind } = fault;
    switch (kind) {
      case 'kill':
      case 'powerCut':
      case 'crashAtStep':
      case 'stop':
        return this.#death(kind, fault, stream);
      case 'damage':
      case 'damageState':
      case 'wipeDisk':
      case 'rollBackDisk':
        return this.#loss(kind, fault, stream);
      case 'powerCutOfAll':
        return this.#powerCutOfAll(fault, stream);
      case 'behead':
        return this.#behead(fault, stream);
      case 'disturb':
        return this.#disturb(fault, stream);
      case 'echo':
        return this.#echo(stream);
      case 'lateVotes':
        return delayVotes(this.#stage, this.#scheduler, stream);
      case 'transfer':
        return this.#transfer();
      case 'pause':
        return this.#pause(this.#anyMember(stream)?.process ?? null, fault, stream);
      case 'pauseClerk':
        return this.#pause(this.#anyClerk(stream).process, fault, stream);
      case 'wallJump':
        return this.#wallJump(stream);
      case 'isolate':
      case 'oneWay':
      case 'partial':
      case 'clog':
      case 'slowLink':
        return this.#link(kind, fault, stream);
      case 'stallDisk':
      case 'diskError':
      case 'diskFull':
      case 'commitError':
      case 'crashAtCommit':
        return this.#disk(kind, fault, stream);
      default:
        return this.#client(kind, fault, stream);
    }
  }

  /** Mostly the leader: it is where faults hurt. */
  #anyMember(stream: Stream): SimMember | null {
    const up = this.#stage.members.filter(({ state }) => state === 'up');
    if (up.length === 0) return null;
    const leader = up.find((member) => member.isLeader);
    return leader !== undefined && stream.chance(0.5) ? leader : stream.pick(up);
  }

  #anyClerk(stream: Stream): ClerkActor {
    return stream.pick(this.#stage.clerks);
  }

  #powerCutOfAll(fault: FaultPlan, stream: Stream): Harm {
    const downMs = 10 + stream.exponential(fault.durationMs);
    const keep = stream.pick([0, 0.5, 0.5, 1]);
    for (const member of this.#stage.members) {
      member.crash({ type: 'powerCut', keep });
      member.restartAfter(downMs * stream.between(0.5, 1));
    }
    return { what: `all lose power, down ${ms(downMs)}, unsynced kept: ${keep}`, lastsMs: downMs };
  }

  #death(kind: MemberFault, fault: FaultPlan, stream: Stream): Harm | null {
    const downMs = 10 + stream.exponential(fault.durationMs);
    const keep = stream.pick([0, 0.5, 0.5, 1]);
    const member = this.#anyMember(stream);
    if (member === null) return null;
    const { name } = member;
    const down = (how: string): Harm => {
      return { what: `${name} ${how}, down ${ms(downMs)}`, lastsMs: downMs };
    };
    switch (kind) {
      case 'crashAtStep': {
        const steps = stream.below(20);
        member.device.failAfter('crash', steps);
        return { what: `${name} loses power ${steps} disk steps later`, lastsMs: 0 };
      }
      case 'stop':
        if (this.#stage.members.length === 1) return null;
        member.stop(downMs);
        return down('is stopped');
      case 'kill':
        member.crash({ type: 'kill' });
        member.restartAfter(downMs);
        return down('is killed');
      case 'powerCut':
        member.crash({ type: 'powerCut', keep });
        member.restartAfter(downMs);
        return down(`loses power (unsynced kept: ${keep})`);
    }
  }

  /** Something happens to a disk, and the member may forget what it has promised. */
  #loss(kind: DiskLoss, fault: FaultPlan, stream: Stream): Harm | null {
    const downMs = 10 + stream.exponential(fault.durationMs);
    const member = this.#anyMember(stream);
    if (member === null || !this.#mayForget(member)) return null;
    if (kind === 'rollBackDisk') return this.#rollBack(member, downMs);
    const damage =
      kind === 'damage'
        ? stream.pick(['bitRot', 'misdirected'] as const)
        : stream.pick(['row', 'row', 'current'] as const);
    member.crash({ type: 'kill' });
    let where: string | null = 'its disk is wiped';
    if (kind === 'wipeDisk') member.wipe();
    else where = member.damage(damage);
    member.restartAfter(downMs);
    const what = `${member.name} is killed, down ${ms(downMs)}; ${where ?? 'nothing to damage'}`;
    return { what, lastsMs: downMs };
  }

  /** As long as a majority keeps what it promised, nothing that was acknowledged may be lost. */
  #mayForget(member: SimMember): boolean {
    const { members } = this.#stage;
    const forgetful = members.filter((one) => one !== member && !one.isHealthy);
    return (forgetful.length + 1) * 2 < members.length;
  }

  /**
   * A copy of a disk takes its place some time later: in a moment when the others have all that it
   * forgets, nobody is a candidate whom it voted for, and it holds nothing that was replaced. A
   * member can't know that its disk is an old one; in any other moment this may cost acknowledged
   * commands (docs/GUARANTEES.md).
   */
  #rollBack(member: SimMember, afterMs: number): Harm {
    const { world } = this.#stage;
    const { process } = member;
    const copy = member.copyDisk();
    let tries = ROLLBACK_TRIES;
    const attempt = (): void => {
      // Who starts again in between may have made promises that the copy knows nothing of as well.
      if (member.process !== process || --tries === 0) return;
      if (!this.#mayForget(member) || !this.#isSpare(member) || !copy.isPrefix()) {
        return this.#scheduler.later(ROLLBACK_RETRY_MS, attempt);
      }
      member.crash({ type: 'kill' });
      copy.restore();
      this.#stage.counters.add('fault: disk rolled back');
      world.trace('world', `the disk of ${member.name} is what it was ${ms(afterMs)} ago, or more`);
      member.restartAfter(10);
    };
    this.#scheduler.later(afterMs, attempt);
    const what = `the disk of ${member.name} is copied, and set back ${ms(afterMs)} later`;
    return { what, lastsMs: afterMs };
  }

  /** Everybody is in one term, with its leader, and needs nothing that only this member has. */
  #isSpare(member: SimMember): boolean {
    const { members, oracle } = this.#stage;
    const term = oracle.termOf(member.id);
    const isCalm = members.every((one) => {
      const status = one.member?.status();
      return one.isHealthy && status?.term === term && status.leader !== null;
    });
    return isCalm && oracle.isSpare(member.id);
  }

  /**
   * For a while, every member that begins to lead is cut off or killed within a few round trips:
   * what it has just appended is here, there, or nowhere else (Raft, Fig. 8).
   */
  #behead(fault: FaultPlan, stream: Stream): Harm | null {
    const { members, world, oracle, peers, plan } = this.#stage;
    if (members.length < 2) return null;
    const lastsMs = stream.exponential(fault.durationMs * 2);
    const roundTripMs = 2 * (plan.peers.latencyMs + plan.peers.jitterMs);
    const hurt = (leader: SimMember): void => {
      if (stream.chance(0.5)) {
        leader.crash({ type: 'kill' });
        leader.restartAfter(stream.between(10, 500));
        return;
      }
      const links = this.#linksOf(leader, stream.pick(['outgoing', 'incoming', 'all'] as const));
      for (const [from, to] of links) peers.cut(from.id, to.id);
      this.#scheduler.later(stream.between(100, 3_000), () => {
        for (const [from, to] of links) peers.restore(from.id, to.id);
      });
    };
    const watch = (id: MemberId): void => {
      const leader = members.find((member) => member.id === id);
      if (leader === undefined) return;
      this.#scheduler.later(stream.between(0, 3 * roundTripMs), () => hurt(leader));
    };
    oracle.leaderWatchers.add(watch);
    world.after(lastsMs, '', () => oracle.leaderWatchers.delete(watch));
    // The present leader falls as well, or nobody new would come.
    const leader = members.find((member) => member.isLeader);
    if (leader !== undefined) hurt(leader);
    return { what: `whoever begins to lead falls, for ${ms(lastsMs)}`, lastsMs };
  }

  /**
   * For a while, snapshots do not simply arrive: receivers die, commits fail, disks stand still
   * until somebody else sends another one. A follower that was long cut off gives occasion.
   */
  #disturb(fault: FaultPlan, stream: Stream): Harm | null {
    const { members, world, peers, snapshotWatchers } = this.#stage;
    if (members.length < 3) return null;
    const cutMs = fault.durationMs + stream.exponential(fault.durationMs);
    const laggard = stream.pick(members);
    const links = this.#linksOf(laggard, 'all');
    for (const [from, to] of links) peers.cut(from.id, to.id);
    this.#scheduler.later(cutMs, () => {
      for (const [from, to] of links) peers.restore(from.id, to.id);
    });
    const watch = (id: MemberId, phase: SnapshotPhase): void => {
      const receiver = members.find((member) => member.id === id);
      if (receiver === undefined || stream.chance(0.4)) return;
      const delayMs = phase === 'receiving' ? stream.between(0, 50) : 0;
      this.#scheduler.later(delayMs, () => this.#interrupt(receiver, phase, stream));
    };
    snapshotWatchers.add(watch);
    const lastsMs = cutMs + stream.exponential(20_000);
    world.after(lastsMs, '', () => snapshotWatchers.delete(watch));
    const what = `${laggard.name} is cut off for ${ms(cutMs)}, snapshots fail for ${ms(lastsMs)}`;
    return { what, lastsMs };
  }

  /** Somewhere between its first piece and the log that begins behind it, a snapshot is stopped. */
  #interrupt(receiver: SimMember, phase: SnapshotPhase, stream: Stream): void {
    const { device, stateDevice } = receiver;
    switch (stream.below(4)) {
      case 0:
        receiver.crash({ type: 'kill' });
        return receiver.restartAfter(stream.between(10, 500));
      case 1:
        return device.failAfter('crash', stream.below(phase === 'receiving' ? 20 : 3));
      case 2:
        if (phase === 'installing') return this.#overtake(device, stream);
        return stateDevice.failAfter(stream.pick(CRASHES), stream.below(2));
      default:
        if (phase === 'installing') return this.#overtake(device, stream);
        return stateDevice.failAfter(stream.pick(['EIO', 'ENOSPC']), stream.below(2));
    }
  }

  /** What is being installed stands still; another leader comes, and sends another one. */
  #overtake(device: Device, stream: Stream): void {
    device.stall(stream.between(5_000, 15_000));
    const leader = this.#stage.members.find((member) => member.isLeader);
    leader?.crash({ type: 'kill' });
    leader?.restartAfter(stream.between(100, 3_000));
  }

  /**
   * A leader hears its followers later and later, and then they hear it no more: they elect another
   * one, while answers to what it said before still reach it. It must not take them for more.
   */
  #echo(stream: Stream): Harm | null {
    const { members, peers, plan } = this.#stage;
    const leader = members.find((member) => member.isLeader);
    if (leader === undefined || members.length < 2) return null;
    // No step is long enough to make it doubt that it leads.
    const stepMs = plan.timing.electionTimeoutMs / 2;
    const steps = 4 + stream.below(8);
    const incoming = this.#linksOf(leader, 'incoming');
    const outgoing = this.#linksOf(leader, 'outgoing');
    for (let i = 1; i <= steps; i++) {
      this.#scheduler.later((i - 1) * stepMs, () => {
        for (const [from, to] of incoming) peers.slow(from.id, to.id, i * stepMs);
      });
    }
    this.#scheduler.later(2 * steps * stepMs, () => {
      for (const [from, to] of outgoing) peers.cut(from.id, to.id);
    });
    const lastsMs = (4 * steps + stream.below(10)) * stepMs;
    this.#scheduler.later(lastsMs, () => {
      for (const [from, to] of incoming) peers.slow(from.id, to.id, 0);
      for (const [from, to] of outgoing) peers.restore(from.id, to.id);
    });
    const what = `${leader.name} hears up to ${ms(steps * stepMs)} late, and is then heard no more`;
    return { what, lastsMs };
  }

  /** An operator wants somebody else to lead. */
  #transfer(): Harm | null {
    const leader = this.#stage.members.find((member) => member.isLeader);
    if (leader === undefined) return null;
    leader.handOver();
    return { what: `${leader.name} hands leadership over`, lastsMs: 0 };
  }

  #pause(process: Process | null, fault: FaultPlan, stream: Stream): Harm | null {
    if (process === null || process.paused) return null;
    const order = stream.chance(0.5) ? 'ioFirst' : 'timersFirst';
    const lastsMs = stream.exponential(fault.durationMs);
    process.pause();
    this.#scheduler.later(lastsMs, () => process.resume(order));
    return { what: `${process.name} sleeps for ${ms(lastsMs)}`, lastsMs };
  }

  /** The calendar of a machine is set anew: nobody may depend on it. */
  #wallJump(stream: Stream): Harm | null {
    const member = this.#anyMember(stream);
    const clerk = this.#anyClerk(stream);
    const process = member !== null && stream.chance(0.7) ? member.process : clerk.process;
    if (process === null) return null;
    const jumpMs = Math.round(stream.between(-40 * DAY_MS, 40 * DAY_MS));
    process.jumpWall(jumpMs);
    return { what: `the calendar of ${process.name} jumps by ${ms(jumpMs)}`, lastsMs: 0 };
  }

  #link(kind: LinkFault, fault: FaultPlan, stream: Stream): Harm | null {
    const { members, peers } = this.#stage;
    const member = this.#anyMember(stream);
    if (member === null || members.length < 2) return null;
    const lastsMs = stream.exponential(fault.durationMs);
    const links = this.#links(kind, member, stream);
    const extraMs = stream.between(50, 2_000);
    for (const [from, to] of links) {
      if (kind === 'clog') peers.clog(from.id, to.id, lastsMs);
      else if (kind === 'slowLink') peers.slow(from.id, to.id, extraMs);
      else peers.cut(from.id, to.id);
    }
    this.#scheduler.later(lastsMs, () => {
      for (const [from, to] of links) {
        if (kind === 'slowLink') peers.slow(from.id, to.id, 0);
        else if (kind !== 'clog') peers.restore(from.id, to.id);
      }
    });
    const which = links.map(([from, to]) => `${from.name}>${to.name}`).join(' ');
    const how = { clog: 'clogged', slowLink: `slower by ${ms(extraMs)}` };
    const done = kind === 'clog' || kind === 'slowLink' ? how[kind] : 'cut';
    return { what: `${which || 'no link'} ${done} for ${ms(lastsMs)}`, lastsMs };
  }

  #links(kind: LinkFault, member: SimMember, stream: Stream): [SimMember, SimMember][] {
    const { members } = this.#stage;
    if (kind === 'isolate') return this.#linksOf(member, 'all');
    if (kind === 'oneWay') {
      return this.#linksOf(member, stream.chance(0.5) ? 'outgoing' : 'incoming');
    }
    return members
      .flatMap((one) => this.#linksOf(one, 'outgoing'))
      .filter(() => stream.chance(0.4));
  }

  #linksOf(member: SimMember, which: 'outgoing' | 'incoming' | 'all'): [SimMember, SimMember][] {
    const others = this.#stage.members.filter((other) => other !== member);
    return [
      ...(which === 'incoming'
        ? []
        : others.map((other): [SimMember, SimMember] => [member, other])),
      ...(which === 'outgoing'
        ? []
        : others.map((other): [SimMember, SimMember] => [other, member])),
    ];
  }

  #disk(kind: DiskFaultKind, fault: FaultPlan, stream: Stream): Harm | null {
    const member = this.#anyMember(stream);
    if (member === null) return null;
    const { name, device, stateDevice } = member;
    if (kind === 'stallDisk') {
      const lastsMs = stream.exponential(fault.durationMs * 3);
      device.stall(lastsMs);
      return { what: `the disk of ${name} stands still for ${ms(lastsMs)}`, lastsMs };
    }
    if (kind === 'commitError' || kind === 'crashAtCommit') {
      const faults = { commitError: ['EIO', 'ENOSPC'], crashAtCommit: CRASHES } as const;
      const which = stream.pick<CommitFault>(faults[kind]);
      const commits = stream.below(3);
      stateDevice.failAfter(which, commits);
      return { what: `${name} meets ${which} ${commits} commits later`, lastsMs: 0 };
    }
    const error = kind === 'diskFull' ? 'ENOSPC' : 'EIO';
    const steps = stream.below(10);
    device.failAfter(error, steps);
    return { what: `${name} meets ${error} ${steps} disk steps later`, lastsMs: 0 };
  }

  #client(kind: FaultKind, fault: FaultPlan, stream: Stream): Harm | null {
    const { clients, members } = this.#stage;
    const clerk = this.#anyClerk(stream);
    const { name } = clerk.plan;
    switch (kind) {
      case 'breakClients': {
        const broken = clients.breakLinks(() => stream.chance(0.7));
        return broken === 0 ? null : { what: `${broken} connections break`, lastsMs: 0 };
      }
      case 'restartClerk':
        clerk.restart();
        return { what: `${name} dies and comes back`, lastsMs: 0 };
      case 'zombieClerk':
        if (clerk.plan.session === null) return null;
        clerk.replace();
        return { what: `${name} is started twice`, lastsMs: 0 };
      case 'oversleep':
        return this.#oversleep(clerk, stream);
      default: {
        const cut = members.filter(() => stream.chance(0.6));
        const reach = stream.pick(['refused', 'silent'] as const);
        const lastsMs = stream.exponential(fault.durationMs);
        for (const member of cut) clients.setReach(name, member.name, reach);
        this.#scheduler.later(lastsMs, () => {
          for (const member of cut) clients.setReach(name, member.name, 'reachable');
        });
        const whom = cut.map((member) => member.name).join(' ');
        return { what: `to ${name}, ${whom || 'nobody'} is ${reach} for ${ms(lastsMs)}`, lastsMs };
      }
    }
  }

  /** A clerk sleeps until its session has had time to end. */
  #oversleep(clerk: ClerkActor, stream: Stream): Harm | null {
    const { process, plan } = clerk;
    if (plan.sessionTtlMs === null || process === null || process.paused) return null;
    const lastsMs = plan.sessionTtlMs * stream.between(0.8, 3);
    process.pause();
    this.#scheduler.later(lastsMs, () => process.resume('timersFirst'));
    return { what: `${process.name} sleeps for ${ms(lastsMs)}, longer than it may`, lastsMs };
  }
}

function ms(value: number): string {
  return `${value < 1 && value >= 0 ? value.toFixed(2) : Math.round(value)} ms`;
}
