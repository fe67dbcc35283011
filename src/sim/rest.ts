import type { SimMember } from './sim-member.ts';
import type { Stage } from './stage.ts';
import { Violation } from './violation.ts';

/** How long members are left alone while their messages are counted. */
const QUIET_MS = 5_000;
/**
 * Besides heartbeats and their answers, on each link: hashes of states, entries by which sessions
 * and leases end, answers to a member that nobody hears and that wants to lead, snapshots for it.
 */
const BESIDES_PER_SECOND_MAX = 20;
/** Bounds the end of a process: leadership handed over, state flushed, log closed. */
const CLOSES_WITHIN_MS = 60_000;

/**
 * Nobody asks for anything: members hold nothing for anybody, and say little more than that they
 * are there.
 * @throws Violation
 */
export async function proveRest(stage: Stage, core: readonly SimMember[]): Promise<void> {
  const { world, peers, plan } = stage;
  peers.countAnew();
  await world.run(QUIET_MS);
  const heartbeatsMax = 1_000 / plan.timing.heartbeatMs / (1 - plan.skewMax);
  const perSecondMax = Math.ceil(heartbeatsMax) + BESIDES_PER_SECOND_MAX;
  for (const { id, name, member } of core) {
    for (const { id: to, name: other } of stage.members) {
      // What a clogged link had held back was asked before, and each may get its answer.
      const answers = peers.countsOf(to, id).stragglers;
      const perSecond = (peers.countsOf(id, to).sent - answers) / (QUIET_MS / 1000);
      if (perSecond <= perSecondMax) continue;
      const what = `${name} sends ${other} ${perSecond} messages a second, not ${perSecondMax}`;
      throw new Violation('who is not asked says little', what);
    }
    const parked = member?.parked ?? 0;
    if (parked === 0) continue;
    throw new Violation('who is not asked holds nothing', `${name} holds ${parked} commands`);
  }
}

/**
 * Everybody is stopped as an operator would.
 * @throws Violation
 */
export async function proveClosing({ world }: Stage, core: readonly SimMember[]): Promise<void> {
  const closing = core.filter(({ state }) => state === 'up');
  for (const member of closing) {
    member.stayDown();
    member.stop(0);
  }
  const isOver = (): boolean => closing.every(({ state }) => state === 'down');
  if (await world.run(CLOSES_WITHIN_MS, isOver)) return;
  const left = closing.filter(({ state }) => state !== 'down').map(({ name }) => name);
  throw new Violation('who is stopped comes to an end', `${left.join(' ')} did not`);
}
