import type { ClerkActor } from './clerk-actor.ts';
import type { FaultKind, FaultPlan } from './plan.ts';
import type { Process } from './process.ts';
import type { SimMember } from './sim-member.ts';
import type { Stage } from './stage.ts';
import { Stream } from './streams.ts';

/** Does one fault; false when there was nothing to do it to. */
type Inject = (fault: FaultPlan) => boolean;

/**
 * Injects the plan's faults at random times until `stop`. Each class draws from a stream of its
 * own. What is broken when it stops stays broken: nothing heals after that by itself.
 */
export class Faults {
  readonly #stage: Stage;
  #stopped = false;
  /** Only one member's disk is ever damaged: no majority may lose what it had acknowledged. */
  #damagedMember: SimMember | null = null;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  start(): void {
    for (const fault of this.#stage.plan.faults) {
      const stream = new Stream(this.#stage.world.seed, `faults ${fault.kind}`);
      this.#arm(fault, stream, this.#injector(fault.kind, stream));
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  #arm(fault: FaultPlan, stream: Stream, inject: Inject): void {
    const { world, counters } = this.#stage;
    world.after(stream.exponential(fault.meanMs), `fault: ${fault.kind}`, () => {
      if (this.#stopped) return;
      if (inject(fault)) counters.add(`fault: ${fault.kind}`);
      this.#arm(fault, stream, inject);
    });
  }

  /** Undoes something later, unless the faults have frozen by then. */
  #healAfter(delayMs: number, heal: () => void): void {
    this.#stage.world.after(delayMs, '', () => {
      if (!this.#stopped) heal();
    });
  }

  #injector(kind: FaultKind, stream: Stream): Inject {
    switch (kind) {
      case 'kill':
      case 'powerCut':
      case 'powerCutOfAll':
      case 'crashAtStep':
      case 'stop':
      case 'damage':
        return (fault) => this.#death(kind, fault, stream);
      case 'pause':
        return (fault) => this.#pause(this.#anyMember(stream)?.process ?? null, fault, stream);
      case 'pauseClerk':
        return (fault) => this.#pause(this.#anyClerk(stream).process, fault, stream);
      case 'isolate':
      case 'oneWay':
      case 'partial':
      case 'clog':
      case 'slowLink':
        return (fault) => this.#link(kind, fault, stream);
      case 'stallDisk':
      case 'diskError':
      case 'diskFull':
        return (fault) => this.#disk(kind, fault, stream);
      default:
        return (fault) => this.#client(kind, fault, stream);
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

  #death(
    kind: 'kill' | 'powerCut' | 'powerCutOfAll' | 'crashAtStep' | 'stop' | 'damage',
    fault: FaultPlan,
    stream: Stream,
  ): boolean {
    const downMs = 10 + stream.exponential(fault.durationMs);
    const keep = stream.pick([0, 0.5, 0.5, 1]);
    if (kind === 'powerCutOfAll') {
      for (const member of this.#stage.members) {
        member.crash({ type: 'powerCut', keep });
        member.restartAfter(downMs * stream.between(0.5, 1));
      }
      return true;
    }
    const member = this.#anyMember(stream);
    if (member === null) return false;
    switch (kind) {
      case 'crashAtStep':
        member.device.failAfter('crash', stream.below(20));
        return true;
      case 'stop':
        if (this.#stage.members.length === 1) return false;
        member.stop(downMs);
        return true;
      case 'damage':
        if (!this.#mayDamage(member)) return false;
        member.crash({ type: 'kill' });
        if (member.damage(stream.pick(['bitRot', 'misdirected'] as const))) {
          this.#damagedMember = member;
        }
        break;
      default:
        member.crash(kind === 'kill' ? { type: 'kill' } : { type: 'powerCut', keep });
    }
    member.restartAfter(downMs);
    return true;
  }

  #mayDamage(member: SimMember): boolean {
    return this.#stage.members.length > 2 && (this.#damagedMember ?? member) === member;
  }

  #pause(process: Process | null, fault: FaultPlan, stream: Stream): boolean {
    if (process === null || process.paused) return false;
    const order = stream.chance(0.5) ? 'ioFirst' : 'timersFirst';
    process.pause();
    this.#healAfter(stream.exponential(fault.durationMs), () => process.resume(order));
    return true;
  }

  #link(
    kind: 'isolate' | 'oneWay' | 'partial' | 'clog' | 'slowLink',
    fault: FaultPlan,
    stream: Stream,
  ): boolean {
    const { members, peers } = this.#stage;
    const member = this.#anyMember(stream);
    if (member === null || members.length < 2) return false;
    const durationMs = stream.exponential(fault.durationMs);
    const links = this.#links(kind, member, stream);
    const extraMs = stream.between(50, 2_000);
    for (const [from, to] of links) {
      if (kind === 'clog') peers.clog(from.id, to.id, durationMs);
      else if (kind === 'slowLink') peers.slow(from.id, to.id, extraMs);
      else peers.cut(from.id, to.id);
    }
    this.#healAfter(durationMs, () => {
      for (const [from, to] of links) {
        if (kind === 'slowLink') peers.slow(from.id, to.id, 0);
        else if (kind !== 'clog') peers.restore(from.id, to.id);
      }
    });
    return true;
  }

  #links(
    kind: 'isolate' | 'oneWay' | 'partial' | 'clog' | 'slowLink',
    member: SimMember,
    stream: Stream,
  ): [SimMember, SimMember][] {
    const { members } = this.#stage;
    const others = members.filter((other) => other !== member);
    const outgoing = others.map((other): [SimMember, SimMember] => [member, other]);
    const incoming = others.map((other): [SimMember, SimMember] => [other, member]);
    if (kind === 'isolate') return [...outgoing, ...incoming];
    if (kind === 'oneWay') return stream.chance(0.5) ? outgoing : incoming;
    const all = members.flatMap((from) =>
      members.filter((to) => to !== from).map((to): [SimMember, SimMember] => [from, to]),
    );
    return all.filter(() => stream.chance(0.4));
  }

  #disk(kind: 'stallDisk' | 'diskError' | 'diskFull', fault: FaultPlan, stream: Stream): boolean {
    const member = this.#anyMember(stream);
    if (member === null) return false;
    if (kind === 'stallDisk') member.device.stall(stream.exponential(fault.durationMs * 3));
    else member.device.failAfter(kind === 'diskFull' ? 'ENOSPC' : 'EIO', stream.below(10));
    return true;
  }

  #client(kind: FaultKind, fault: FaultPlan, stream: Stream): boolean {
    const { clients, members } = this.#stage;
    const clerk = this.#anyClerk(stream);
    switch (kind) {
      case 'breakClients':
        return clients.breakLinks(() => stream.chance(0.7)) > 0;
      case 'restartClerk':
        clerk.restart();
        return true;
      case 'zombieClerk':
        if (clerk.plan.session === null) return false;
        clerk.replace();
        return true;
      default: {
        const cut = members.filter(() => stream.chance(0.6));
        const reach = stream.pick(['refused', 'silent'] as const);
        for (const { name } of cut) clients.setReach(clerk.plan.name, name, reach);
        this.#healAfter(stream.exponential(fault.durationMs), () => {
          for (const { name } of cut) clients.setReach(clerk.plan.name, name, 'reachable');
        });
        return true;
      }
    }
  }
}
