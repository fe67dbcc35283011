/**
 * Real processes on real disks, killed and cut off from power under load (`npm run test:kill`).
 *
 *   campaign.ts      strikes, recoveries, and the verdict: kill.test.ts, power-cut.test.ts
 *   world.ts         three members and some clerks, all of them processes
 *   remote-clerk.ts  a clerk that is killed and taken over (clerk-process.mjs, perform.mjs);
 *                    workload.ts says what it asks
 *   lossy.c          a disk that forgets what was not synced, or fails, by LD_PRELOAD (lossy.ts);
 *                    lossy*.test.ts try it on small programs, on LMDB, and against strace
 *   evidence.ts      what the members did meanwhile: flushes, snapshots, repairs
 *   power-cut.ts     acts the power cut out on what is left (undo-log.ts)
 *
 * test/disk-faults uses the same disk to let every single call to it go wrong.
 */
import { checkExactlyOnce, judge, judgementLines } from '../../src/checker/index.ts';
import { damagesOf, type Evidence, evidenceOf } from './evidence.ts';
import type { Append } from './remote-clerk.ts';
import { sleep, World, type WorldOptions } from './world.ts';

/** Load before each fault, milliseconds: from none to this. */
const LOAD_MS_MAX = 250;

/** How often a cycle kills a clerk's process too. */
const CLERK_KILL_CHANCE = 0.4;

/** How often the campaign says where it stands, cycles. */
const PROGRESS_CYCLES = 10;

export interface CampaignOptions extends WorldOptions {
  readonly cycles: number;
  /** What is done to the members in one cycle; all of them run again when it resolves. */
  readonly strike: (world: World) => Promise<void>;
  /** Takes a line about how far it is. */
  readonly tell: (line: string) => void;
}

/** What a campaign did and found. */
export interface CampaignReport {
  /** What went against a promise, one sentence each; empty when all is well. */
  readonly failures: readonly string[];
  readonly acknowledged: number;
  /** Commands in doubt when their clerk was killed: those that had run, and those that had not. */
  readonly foundExecuted: number;
  readonly repeated: number;
  readonly clerkKills: number;
  /** null: the campaign stopped early. */
  readonly evidence: Evidence | null;
  /** In words. */
  readonly summary: string;
}

/**
 * Strikes at the members again and again while clerks work, some of which are killed too and taken
 * over. No hand helps: after each strike, starting the same processes on the same directories must
 * do. At the end every acknowledged command has run, none has run twice, the members are equal, and
 * one order explains the whole history.
 */
export async function runCampaign(options: CampaignOptions): Promise<CampaignReport> {
  const { cycles, tell } = options;
  const world = await World.start(options);
  let clerkKills = 0;
  try {
    for (let cycle = 1; cycle <= cycles; cycle++) {
      clerkKills += await runCycle(world, options);
      const failures = failuresOf(world);
      if (failures.length > 0) break;
      if (cycle % PROGRESS_CYCLES === 0 || cycle === cycles) {
        tell(`cycle ${cycle} of ${cycles}: ${answered(world)} calls answered`);
      }
    }
    return { ...(await verdict(world)), clerkKills };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const failures = [...failuresOf(world), `stopped: ${reason}`];
    return { ...counts(world), failures, clerkKills, evidence: null, summary: 'stopped early' };
  } finally {
    await world.close();
  }
}

/** One cycle; returns how many clerks were killed in it. */
async function runCycle(world: World, { strike }: CampaignOptions): Promise<number> {
  const { prng, clerks } = world;
  await sleep(prng.below(LOAD_MS_MAX));
  const clerk = prng.chance(CLERK_KILL_CHANCE) ? clerks[prng.below(clerks.length)] : undefined;
  const isBefore = prng.chance(0.5);
  if (isBefore) await clerk?.kill();
  await strike(world);
  if (!isBefore) await clerk?.kill();
  await clerk?.takeOver();
  await world.progress();
  return clerk === undefined ? 0 : 1;
}

async function verdict(world: World): Promise<Omit<CampaignReport, 'clerkKills'>> {
  for (const clerk of world.clerks) await clerk.drain();
  await world.agreement();
  const finals = await world.readAll();
  const failures = failuresOf(world);
  for (const [key, appends] of appendsByKey(world)) {
    failures.push(...checkExactlyOnce([finals.get(key) ?? ''], appends));
  }
  await world.cluster.close();
  const evidence = evidenceOf(world.directory, world.members);
  failures.push(...damagesOf(world.directory, world.members));
  const { history } = world.recorder;
  const judgement = judge(history);
  const words = judgementLines(judgement, history);
  if (judgement.type !== 'ok') failures.push(words.join('\n'));
  return { ...counts(world), failures, evidence, summary: words.join('\n') };
}

/** Key by key: an append that went to another key counts as lost there, and as strange here. */
function appendsByKey({ clerks }: World): Map<string, Append[]> {
  const keys = new Map<string, Append[]>();
  for (const append of clerks.flatMap((clerk) => clerk.appends)) {
    const appends = keys.get(append.key);
    if (appends === undefined) keys.set(append.key, [append]);
    else appends.push(append);
  }
  return keys;
}

function failuresOf(world: World): string[] {
  return [...world.failures, ...world.clerks.flatMap(({ failures }) => failures)];
}

function answered(world: World): number {
  return world.clerks.reduce((sum, clerk) => sum + clerk.answered, 0);
}

function counts(world: World): Pick<CampaignReport, 'acknowledged' | 'foundExecuted' | 'repeated'> {
  const sum = (of: 'foundExecuted' | 'repeated'): number =>
    world.clerks.reduce((total, clerk) => total + clerk[of], 0);
  const [foundExecuted, repeated] = [sum('foundExecuted'), sum('repeated')];
  return { acknowledged: answered(world) + foundExecuted, foundExecuted, repeated };
}
