import { type Clerk, createClerk } from '../client/index.ts';
import { proveClosing, proveRest } from './rest.ts';
import type { SimMember } from './sim-member.ts';
import type { Stage } from './stage.ts';
import type { Stream } from './streams.ts';
import { Violation } from './violation.ts';

/** Bounds in longest election timeouts. */
const LEADER_WITHIN = 10;
const ENDS_WITHIN = 20;
const LEADER_CHANGES_MAX = 2;
/** A member that needs a snapshot commits its pieces, and then what it is, one after the other. */
const TRANSFER_COMMITS = 20;
/** Clerks wait as long as they were told to, and then some for the answer to be certain. */
const GRACE_MS = 10_000;
/** A watch waits 5 s at each of three members that are cut off, and for their refusals. */
const CATCH_UP_MS = 60_000;

/**
 * The second half of a run: a random majority heals, everything else stays broken for ever. The
 * majority must elect, answer everybody who can reach it, and agree.
 * @returns every key with its value
 * @throws Violation
 */
export async function proveLiveness(stage: Stage): Promise<ReadonlyMap<string, string>> {
  const { world, plan } = stage;
  const core = healCore(stage);
  // A clock that runs slowly makes a timeout long.
  const electionMs = (2 * plan.timing.electionTimeoutMs) / (1 - plan.skewMax);
  const leads = (): boolean => core.some((member) => member.isLeader);
  if (!(await world.run(LEADER_WITHIN * electionMs, leads))) {
    throw new Violation('a majority elects a leader', `none in ${LEADER_WITHIN} timeouts`);
  }
  const leadersBefore = stage.oracle.leaders.size;
  await world.run(3_000);
  const callers = callersOf(stage);
  for (const caller of callers) caller.stop();
  const longestMs = Math.max(...callers.map(({ plan }) => plan.timeoutMs));
  const endsMs = ENDS_WITHIN * electionMs + longestMs / (1 - plan.skewMax) + GRACE_MS;
  if (!(await world.run(endsMs, () => pendingOfLiving(stage) === 0))) {
    const what = `${stage.history.pending} calls have no end after ${Math.round(endsMs)} ms`;
    throw new Violation('every call ends', what);
  }
  const values = await readEverything(stage, ENDS_WITHIN * electionMs);
  await catchUpAll(stage, ENDS_WITHIN * electionMs + CATCH_UP_MS / (1 - plan.skewMax));
  const slowestMs = Math.max(...core.map(({ stateDevice }) => stateDevice.commitMs));
  const agreeMs = ENDS_WITHIN * electionMs + TRANSFER_COMMITS * slowestMs;
  if (!(await world.run(agreeMs, () => agree(core)))) {
    throw new Violation('members agree in the end', describe(core));
  }
  await proveRest(stage, core);
  const changes = stage.oracle.leaders.size - leadersBefore;
  if (changes > LEADER_CHANGES_MAX) {
    throw new Violation('leadership is stable', `${changes} leaders after the first`);
  }
  await proveClosing(stage, core);
  return values;
}

/** Picks members and mends everything among them. */
function healCore(stage: Stage): readonly SimMember[] {
  const { world, peers, members, clients, clerks } = stage;
  const stream = world.stream('liveness');
  const core = pickCore(stage, stream);
  const inCore = new Set(core);
  world.trace('world', `heals: ${core.map(({ name }) => name).join(' ')}`);
  peers.heal(core.map(({ id }) => id));
  for (const member of members) {
    if (!inCore.has(member)) {
      member.stayDown();
      cutOff(stage, {
        outsider: member,
        core,
        how: stream.pick(['deaf', 'mute', 'both'] as const),
      });
    } else {
      member.mend();
    }
  }
  clients.quality = { ...clients.quality, mute: 0, breakOnReply: 0, breakOnRequest: 0, noReset: 0 };
  for (const clerk of clerks) {
    clerk.resume();
    for (const { name } of core) clients.setReach(clerk.plan.name, name, 'reachable');
  }
  return core;
}

/**
 * A majority that keeps what it promised; or all: who may have forgotten something needs, in a
 * cluster of three, everybody else.
 */
function pickCore({ members, plan }: Stage, stream: Stream): readonly SimMember[] {
  const healthy = members.filter((member) => member.isHealthy);
  const size = Math.floor(plan.members / 2) + 1;
  if (healthy.length < size || (healthy.length < members.length && stream.chance(0.5))) {
    return members;
  }
  return stream.shuffled(healthy).slice(0, Math.max(size, stream.below(healthy.length + 1)));
}

/**
 * Whoever is not of the majority may go on, but not lead it: that could starve one of its members,
 * and would be right. It does not hear, or is not heard.
 */
function cutOff(
  { peers }: Stage,
  cut: {
    readonly outsider: SimMember;
    readonly core: readonly SimMember[];
    readonly how: 'deaf' | 'mute' | 'both';
  },
): void {
  for (const member of cut.core) {
    if (cut.how !== 'mute') peers.cut(member.id, cut.outsider.id);
    if (cut.how !== 'deaf') peers.cut(cut.outsider.id, member.id);
  }
}

/** Calls whose process still exists. */
function pendingOfLiving(stage: Stage): number {
  return callersOf(stage).reduce((sum, { pending }) => sum + pending, 0);
}

function callersOf({ clerks, etcdClients, watchers }: Stage) {
  return [...clerks, ...etcdClients, ...watchers];
}

/** Whoever watches hears of everything in the end, also from a member that is cut off. */
async function catchUpAll({ world, watchers, replay }: Stage, limitMs: number): Promise<void> {
  let behind = watchers.length;
  for (const watcher of watchers) watcher.catchUp(replay.revision, () => behind--);
  if (await world.run(limitMs, () => behind === 0)) return;
  throw new Violation('watches catch up', `${behind} have not in ${Math.round(limitMs)} ms`);
}

async function readEverything(stage: Stage, limitMs: number): Promise<Map<string, string>> {
  const { world, observer } = stage;
  const process = world.process('observer', { offsetMs: 0, rate: 1 });
  const moving = (run: () => void) => () => {
    world.movePromises();
    run();
  };
  const { clock, random } = process;
  const values = new Map<string, string>();
  let finished = false;
  const read = async (clerk: Clerk): Promise<void> => {
    const { entries } = await clerk.range({ prefix: '' }, { timeoutMs: 2 ** 31 - 1 });
    for (const { key, value } of entries) values.set(key, value);
    finished = true;
  };
  const io = {
    clock: {
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs(),
      setTimer: (delayMs: number, run: () => void) => clock.setTimer(delayMs, moving(run)),
      defer: (run: () => void) => clock.defer(moving(run)),
    },
    random,
    channels: observer.network.channels(process, 'observer'),
  };
  world.movePromises();
  createClerk({ endpoints: observer.endpoints }, io)
    .then(read)
    .catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      world.stop(new Violation('the end can be read', reason));
    });
  if (!(await world.run(limitMs, () => finished))) {
    throw new Violation('the end can be read', 'no answer');
  }
  process.kill();
  return values;
}

function agree(core: readonly SimMember[]): boolean {
  const states = core.map((member) => {
    const status = member.member?.status();
    return status === undefined ? null : `${status.appliedIndex} ${status.stateHash}`;
  });
  return states.every((state) => state !== null && state === states[0]);
}

function describe(core: readonly SimMember[]): string {
  return core
    .map((member) => {
      const status = member.member?.status();
      return status === undefined
        ? `${member.name} is ${member.state}`
        : `${member.name} ${status.stateHash} at ${status.appliedIndex}`;
    })
    .join(', ');
}
