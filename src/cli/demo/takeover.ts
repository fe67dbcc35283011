import { setTimeout as sleep } from 'node:timers/promises';
import { type Clerk, KvError, type Resolution } from '../../client/index.ts';
import type { Command, CommandAnswer, LoadClerk } from './load.ts';
import { LOAD_LIMITS } from './load.ts';
import type { Takeover } from './verify.ts';

/** The links of one clerk to all members. */
export interface ClerkLinks {
  cut(mode: 'dropReplies' | 'silent' | 'reset'): void;
  heal(): void;
}

/** Commands that the dropped clerk issues when nothing reaches a member any more. */
const UNSENT = 8;
/** How long its last commands that arrive may take to be executed, milliseconds. */
const EXECUTION_MS_MAX = 5_000;
/** How long the dropped clerk waits for its refusal, milliseconds. */
const REFUSAL_MS_MAX = 20_000;

/**
 * Drops a clerk as if its process had been killed: some of its commands have run and their answers
 * are lost, others never arrived. A new clerk opens the same session, learns of each command in
 * doubt whether it ran, and repeats the rest under their own numbers. Then the network of the
 * dropped clerk heals, and the cluster must refuse whatever it still tries.
 */
export async function replaceClerk(
  load: LoadClerk,
  world: {
    readonly links: ClerkLinks;
    /** Another client, whose links work. */
    readonly witness: Clerk;
    /** Opens the session over new links. */
    readonly openSuccessor: () => Promise<Clerk>;
    readonly signal: AbortSignal;
  },
): Promise<Takeover> {
  const { links, witness, signal } = world;
  links.cut('dropReplies');
  await executeUnheard(load, witness, signal);
  links.cut('silent');
  load.pause();
  for (let n = 0; n < UNSENT; n++) load.issue();
  await sleep(LOAD_LIMITS.tickMs, undefined, { signal });
  links.cut('reset');
  const dropped = load.clerk;
  const inDoubt = load.drop();

  const successor = await world.openSuccessor();
  load.resumeWith(successor);
  const unexecuted = await resolveAll(load, inDoubt);
  await Promise.all(
    unexecuted.map(async (command) => {
      load.acknowledge(command, await load.send(command, { seq: command.seq }));
    }),
  );

  links.heal();
  const refusal = await refusalOf(dropped, load.addRefused());
  await dropped.close();
  load.start();
  const [all, repeated] = [inDoubt.length, unexecuted.length];
  return { clerk: load.name, inDoubt: all, executed: all - repeated, repeated, refusal };
}

/** Waits until the clerk has a full window of commands that ran without its knowing. */
async function executeUnheard(load: LoadClerk, witness: Clerk, signal: AbortSignal): Promise<void> {
  const endMs = performance.now() + EXECUTION_MS_MAX;
  const sessionId = load.clerk.session?.id ?? 0;
  while (performance.now() < endMs) {
    await sleep(LOAD_LIMITS.tickMs, undefined, { signal });
    const seq = load.commands.at(-1)?.seq ?? 0;
    if (load.inFlight < LOAD_LIMITS.inFlightMax || seq === 0) continue;
    const { state } = await witness.resolve(seq, { sessionId, signal });
    if (state !== 'notExecuted') return;
  }
}

/** Asks what became of each command, writes down what ran, and gives back what did not. */
async function resolveAll(load: LoadClerk, inDoubt: readonly Command[]): Promise<Command[]> {
  const { clerk } = load;
  const lastSeq = clerk.session?.lastSeq ?? 0;
  const unexecuted: Command[] = [];
  for (const command of inDoubt) {
    const { seq } = command;
    const resolution = await clerk.resolve(seq);
    const answer = answerOf(seq, resolution);
    if (answer !== null) load.acknowledge(command, answer);
    else unexecuted.push(command);
    if ((answer !== null) === seq <= lastSeq && isCertain(resolution)) continue;
    const said = `seq ${seq} is ${resolution.state}, and the last executed one is ${lastSeq}`;
    load.anomalies.push(`resolve: ${load.name}: ${said}`);
  }
  return unexecuted;
}

function isCertain({ state }: Resolution): boolean {
  return state === 'executed' || state === 'notExecuted';
}

function answerOf(seq: number, resolution: Resolution): CommandAnswer | null {
  if (resolution.state !== 'executed') return null;
  const { result } = resolution;
  const valueBytes = result.type === 'append' ? result.valueBytes : null;
  return { seq, revision: result.revision, valueBytes };
}

/** How the cluster refuses a further command of a clerk that was replaced; null if it does not. */
async function refusalOf(dropped: Clerk, { key, text }: Command): Promise<string | null> {
  try {
    await dropped.append(key, text, { timeoutMs: REFUSAL_MS_MAX });
    return null;
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    const { code } = error;
    return code === 'SESSION_FENCED' || code === 'SESSION_LOST_UNKNOWN' ? code : null;
  }
}
