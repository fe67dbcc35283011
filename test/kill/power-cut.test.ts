import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Prng } from '../../src/lib/index.ts';
import { type CampaignReport, runCampaign } from './campaign.ts';
import { evidenceLine } from './evidence.ts';
import { compileLossy, lossyEnvironment, runsLossy } from './lossy.ts';
import { cutPower } from './power-cut.ts';
import { cyclesOf, SEED, teller } from './scale.ts';
import { sleep, type World } from './world.ts';

const CYCLES = cyclesOf({ full: 100, short: 1 });
const REPLAY = `SEED=${SEED} CYCLES=${CYCLES} npx vitest run test/kill/power-cut.test.ts`;

/** Power cuts until a lying disk must have been caught. */
const LIAR_CYCLES_MAX = 10;

/** How often a member is killed before the power goes: what it has left is still unsynced then. */
const KILL_BEFORE_CHANCE = 0.5;

/** How long it stays down, milliseconds: up to this; the others go on, so it needs a snapshot. */
const DOWN_MS_MAX = 300;

/** How long members run again before that, milliseconds: up to this. */
const RUN_MS_MAX = 300;

describe.runIf(runsLossy())('power cuts', () => {
  let root: string;
  let library: string;

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'quorate-lossy-'));
    library = compileLossy(root);
  });
  afterAll(() => rmSync(root, { recursive: true }));

  /** Cuts the power of all three members in every cycle. */
  async function cutAgainAndAgain(
    cycles: number,
    options: { lies: boolean },
  ): Promise<CampaignReport & { lost: number; names: number }> {
    const tell = teller('power');
    const prng = new Prng(SEED);
    let [lost, names] = [0, 0];
    const strike = async (world: World): Promise<void> => {
      await killOneBefore(world);
      await world.kill(world.members, 'power');
      const directories = directoriesOf(world.directory);
      const loss = cutPower({ directories, side: sideOf(world.directory), prng });
      lost += loss.lostSectors;
      names += loss.namesUndone;
      await world.restart(world.members);
    };
    const environment = (directory: string): Record<string, string> =>
      lossyEnvironment({
        library,
        directories: directoriesOf(directory),
        side: sideOf(directory),
        ...options,
      });
    const main = inject('quorateMain');
    const campaign = { seed: SEED, cycles, main, clerks: 3, environment, strike, tell };
    return { ...(await runCampaign(campaign)), lost, names };
  }

  test(`${CYCLES} times a power cut of all members under load: nothing lost, nothing run twice`, {
    timeout: 60_000 + 10_000 * CYCLES,
  }, async () => {
    const tell = teller('power');
    tell(`replay: ${REPLAY}`);
    const report = await cutAgainAndAgain(CYCLES, { lies: false });
    const { acknowledged, clerkKills, failures, evidence, summary, lost, names } = report;
    tell(
      `${acknowledged} commands and reads answered, ${clerkKills} clerks killed and taken over, ` +
        `${lost} unsynced sectors and ${names} names lost`,
    );
    if (evidence !== null) tell(evidenceLine(evidence));
    tell(summary);
    expect(failures, REPLAY).toEqual([]);
    expect(acknowledged, REPLAY).toBeGreaterThan(CYCLES);
    expect(evidence?.flushes, REPLAY).toBeGreaterThan(CYCLES);
    if (CYCLES >= 10) expect(evidence?.snapshotsInstalled, REPLAY).toBeGreaterThan(0);
    // A few cuts may all fall into a rest between two writes.
    if (CYCLES >= 10) expect(lost + names, REPLAY).toBeGreaterThan(0);
  });

  test('a disk that lies about its syncs is found out', { timeout: 120_000 }, async () => {
    const { failures } = await cutAgainAndAgain(LIAR_CYCLES_MAX, { lies: true });
    expect(failures, REPLAY).not.toEqual([]);
  });
});

/** Kills one member and starts it again, so that the power cut meets what two processes wrote. */
async function killOneBefore(world: World): Promise<void> {
  const { prng, members } = world;
  const name = members[prng.below(members.length)] ?? '';
  if (!prng.chance(KILL_BEFORE_CHANCE)) return;
  await world.kill([name]);
  await sleep(prng.below(DOWN_MS_MAX));
  await world.restart([name]);
  await sleep(prng.below(RUN_MS_MAX));
}

function directoriesOf(world: string): string[] {
  return ['m1', 'm2', 'm3'].map((name) => join(realpathSync(world), name));
}

function sideOf(world: string): string {
  return join(realpathSync(world), 'side');
}
