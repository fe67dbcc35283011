import { expect, inject, test } from 'vitest';
import { runCampaign } from './campaign.ts';
import { evidenceLine } from './evidence.ts';
import { cyclesOf, SEED, teller } from './scale.ts';
import { sleep, type World } from './world.ts';

const CYCLES = cyclesOf({ full: 200, short: 1 });
const REPLAY = `SEED=${SEED} CYCLES=${CYCLES} npx vitest run test/kill/kill.test.ts`;

/** How long members stay down, milliseconds: up to this. */
const DOWN_MS_MAX = 200;
/** How far into its start a member is killed again, milliseconds: up to this. */
const START_MS_MAX = 400;

test(`${CYCLES} times kill -9 under load: nothing lost, nothing run twice, no hand needed`, {
  timeout: 60_000 + 10_000 * CYCLES,
}, async () => {
  const tell = teller('kill');
  tell(`replay: ${REPLAY}`);
  const strike = killAndRestart;
  const main = inject('quorateMain');
  const report = await runCampaign({ seed: SEED, cycles: CYCLES, main, clerks: 4, strike, tell });
  const { acknowledged, clerkKills, foundExecuted, repeated, failures, evidence, summary } = report;
  tell(
    `${acknowledged} commands and reads answered, ${clerkKills} clerks killed and taken over ` +
      `(${foundExecuted} commands in doubt had run, ${repeated} had not and were repeated)`,
  );
  if (evidence !== null) tell(evidenceLine(evidence));
  tell(summary);
  expect(failures, REPLAY).toEqual([]);
  expect(acknowledged, REPLAY).toBeGreaterThan(CYCLES);
  expect(evidence?.flushes, REPLAY).toBeGreaterThan(CYCLES);
  if (CYCLES >= 10) expect(evidence?.snapshotsInstalled, REPLAY).toBeGreaterThan(0);
});

/** Kills the leader, any one, two or all of them, and sometimes one again while it starts. */
async function killAndRestart(world: World): Promise<void> {
  const { prng } = world;
  const victims = await chooseVictims(world);
  await world.kill(victims);
  await sleep(prng.below(DOWN_MS_MAX));
  const [first] = victims;
  if (first !== undefined && prng.chance(0.25)) {
    await world.killWhileStarting(first, prng.below(START_MS_MAX));
  }
  await world.restart(victims);
}

async function chooseVictims({ prng, cluster, members }: World): Promise<string[]> {
  const draw = prng.below(100);
  if (draw < 35) {
    const leader = await cluster.leader();
    if (leader !== null) return [leader];
  }
  if (draw >= 90) return members;
  const one = members[prng.below(members.length)];
  return draw >= 70
    ? members.filter((name) => name !== one)
    : members.filter((name) => name === one);
}
