import type { ConfState, Entry } from '../raft/index.ts';
import { decodeBatch, type StatePosition } from '../replica/index.ts';
import { resetState, StoreError } from '../store/index.ts';
import {
  type FreshLog,
  hasWal,
  type LogPosition,
  replaceWal,
  type Salvage,
  salvageWal,
  WalError,
  type WalPlace,
} from '../wal/index.ts';
import { type Answers, askTerms, type OpenAskLink } from './ask-terms.ts';
import { floorOf, hasHistory, isNewCluster, majorityOf } from './floor.ts';
import { Member, type MemberOptions } from './member.ts';
import { ConfigError } from './options.ts';
import { MemberState, type MemberStateOptions } from './state.ts';

/*
 * A member that may have lost what it promised: docs/decisions/0007 has the rule and its proof.
 */

/** From so many members on, the others can make up for what one has lost. */
const REJOIN_MEMBERS_MIN = 3;

/** What opening a member takes besides, when its directory is new or damaged. */
export interface OpenMemberOptions extends MemberOptions {
  readonly openLink: OpenAskLink;
  /** A sole member gives up what is behind a damage of its log. Default false. */
  readonly truncateDamagedLog?: boolean | undefined;
  /** Ends the wait for other members. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a member. One of at least three whose directory is empty or damaged first asks the others
 * what it may have lost, and waits for as many answers as it takes; damage of a smaller cluster is
 * refused. Other members ask nobody.
 * @throws WalError, StoreError, ConfigError; the signal's reason.
 */
export async function openMember(
  options: OpenMemberOptions,
  onFailure: (error: Error) => void,
): Promise<Member> {
  await beginLog(options);
  try {
    return await Member.open(options, onFailure);
  } catch (error) {
    if (!isDamage(error)) throw error;
    await heal(options, error);
  }
  return await Member.open(options, onFailure);
}

type Damage = WalError | StoreError;

function isDamage(error: unknown): error is Damage {
  return (error instanceof WalError || error instanceof StoreError) && error.code === 'CORRUPT';
}

// ── a directory without a log ───────────────────────────────────────────────────────────────────

/** An empty directory is that of a new cluster, or of a member that lost its disk, or is late. */
async function beginLog(options: OpenMemberOptions): Promise<void> {
  const { config, io } = options;
  if (await hasWal(walPlace(options))) return;
  const state = await durablePosition(options);
  // A state without a log is damage: it has been in use.
  if (state === null || state.index > 0) return;
  if (!config.mayCreateLog) {
    throw new ConfigError(
      `--initial-cluster-state: is 'existing' but '${directoryOf(options)}' holds no log: ` +
        "start a new cluster with 'new', or name the directory of this member",
    );
  }
  const membersMax = config.confState.voters.length;
  if (membersMax < REJOIN_MEMBERS_MIN) return;
  const graceMs = config.timing.electionTimeoutMs / 2;
  let isReported = false;
  const answers = await ask(options, { isNew: true }, (heard, elapsedMs) => {
    if (!hasHistory(heard))
      return isNewCluster(heard, { membersMax, isLate: elapsedMs >= graceMs });
    if (!isReported) reportHistory(options, heard);
    isReported = true;
    return floorOf(heard, { membersMax, needsAll: true }) !== null;
  });
  if (!hasHistory(answers)) return;
  const floorTerm = floorOf(answers, { membersMax, needsAll: true }) ?? 0;
  await replaceLog(options, freshLog(options, { floorTerm, state }));
  io.log.warn('coming back with an empty directory; no vote before a later term brought it up', {
    floorTerm,
  });
}

function reportHistory({ config, io }: OpenMemberOptions, answers: Answers): void {
  const terms = [...answers.values()].map((answer) => (answer.type === 'runs' ? answer.term : 0));
  io.log.warn(
    'this directory is empty but the cluster has a history: this member starts late, or it has ' +
      'lost its disk. It waits for all other members, to learn what it may have promised; if the ' +
      'directory is the wrong one, stop it now',
    { directory: config.dataDir, term: Math.max(...terms) },
  );
}

function ask(
  options: OpenMemberOptions,
  { isNew }: { isNew: boolean },
  isEnough: (answers: Answers, elapsedMs: number) => boolean,
): Promise<Answers> {
  const { config, io, openLink, signal } = options;
  const { memberId, confState } = config;
  const others = confState.voters.filter((id) => id !== memberId);
  const { clock, log } = io;
  return askTerms({ openLink, clock, log, memberId, others, isNew, signal }, isEnough);
}

// ── damage ──────────────────────────────────────────────────────────────────────────────────────

async function heal(options: OpenMemberOptions, damage: Damage): Promise<void> {
  const { log } = options.io;
  const offset = damage instanceof WalError ? damage.offset : null;
  log.error(`damaged: ${damage.message}`, { file: damage.file, offset });
  const state = await durablePosition(options);
  if (state === null && (await isWholeLog(options))) {
    log.warn('the state is made again from the log, which holds everything from the first entry');
    return await resetState(stateHome(options));
  }
  const membersMax = options.config.confState.voters.length;
  if (membersMax >= REJOIN_MEMBERS_MIN) return await rejoin(options, state);
  if (membersMax > 1 || options.truncateDamagedLog !== true || state === null) {
    throw refusal(damage, { isAlone: membersMax === 1, isStateGood: state !== null });
  }
  await truncate(options, state);
}

/** Asks, forgets, and leaves what the ordinary start needs to catch up. */
async function rejoin(options: OpenMemberOptions, state: StatePosition | null): Promise<void> {
  const { config, io } = options;
  const salvage = await salvageOf(options, state);
  const membersMax = config.confState.voters.length;
  const needsAll = !salvage.isTermCertain;
  io.log.warn(
    'asking the other members for their terms, because this one may have lost what it promised',
    { answersNeeded: needsAll ? membersMax - 1 : majorityOf(membersMax) },
  );
  const answers = await ask(
    options,
    { isNew: false },
    (heard) => floorOf(heard, { membersMax, needsAll }) !== null,
  );
  const heard = floorOf(answers, { membersMax, needsAll }) ?? 0;
  const floorTerm = Math.max(heard, salvage.hardState?.term ?? 0);
  // From here on a crash leaves damage again, or nothing: the next start begins anew.
  if (state === null) await resetState(stateHome(options));
  await replaceLog(options, freshLog(options, { floorTerm, state }));
  io.log.warn('coming back after damage; no vote before a later term brought this member up', {
    floorTerm,
    stateKeptUpTo: state?.index ?? 0,
    damagedLog: `${walPlace(options).directory}/wal/*.damaged`,
  });
}

function freshLog(
  { config }: OpenMemberOptions,
  { floorTerm, state }: { floorTerm: number; state: StatePosition | null },
): FreshLog {
  const base = baseOf(state);
  const hardState = { term: floorTerm + 1, vote: null, commitIndex: base?.index ?? 0 };
  return { confState: config.confState, hardState, base, rejoinFloorTerm: floorTerm };
}

function refusal(
  damage: Damage,
  { isAlone, isStateGood }: { isAlone: boolean; isStateGood: boolean },
): Damage {
  let advice =
    'move the directory away and start with an empty one; the other member brings it up to date';
  if (isAlone) advice = 'restore the member from its backup';
  if (isAlone && isStateGood) {
    advice += ', or start once with --truncate-damaged-log to give up what is behind the damage';
  }
  const message = `${damage.message}. What to do: ${advice}`;
  const { file, cause } = damage;
  if (damage instanceof StoreError) return new StoreError('CORRUPT', message, { file, cause });
  const place = { file: damage.file, ...(damage.offset === null ? {} : { offset: damage.offset }) };
  return new WalError('CORRUPT', message, { ...place, cause });
}

// ── a sole member ───────────────────────────────────────────────────────────────────────────────

/**
 * Gives up what is behind the damage. The entries before it go into the state, in one flush, and
 * the fresh log begins behind them: a crash in between leaves the damaged log, to be cut again.
 */
async function truncate(options: OpenMemberOptions, before: StatePosition): Promise<void> {
  const { config, io } = options;
  const salvage = await salvageOf(options, before);
  const after = await withState(options, async (state) => {
    for (const entry of salvage.entries) {
      if (entry.index === state.appliedIndex + 1) applyEntry(state, entry, config.confState);
    }
    await new Promise<void>((resolve, reject) => {
      state.flush((error) => (error === null ? resolve() : reject(error)));
    });
    return state.durable;
  });
  await replaceLog(options, {
    confState: config.confState,
    hardState: salvage.hardState,
    base: baseOf(after),
    rejoinFloorTerm: null,
  });
  io.log.warn('the damaged log was cut, as told: what was behind the damage is lost', {
    ...salvage.damage,
    lastIndex: after.index,
    damagedLog: `${walPlace(options).directory}/wal/*.damaged`,
  });
}

/** What a sole voter has in its log is committed. */
function applyEntry(state: MemberState, entry: Entry, conf: ConfState): void {
  const { index, term } = entry;
  if (entry.kind === 'confChange') {
    throw new ConfigError(
      `--truncate-damaged-log: entry ${index} changes the members: restore this one from a backup`,
    );
  }
  const batch = entry.kind === 'command' ? decodeBatch(entry.data) : null;
  const timeMs = Math.max(batch?.timeMs ?? 0, state.logTimeMs);
  const confState = index === 1 ? conf : null;
  state.apply({ index, term, timeMs, commands: batch?.commands ?? [], confState });
}

// ── what is on the disk ─────────────────────────────────────────────────────────────────────────

/** Whether the log alone holds all that the state did. */
async function isWholeLog(options: OpenMemberOptions): Promise<boolean> {
  return (await salvageWal(walPlace(options))).damage === null;
}

function salvageOf(options: OpenMemberOptions, state: StatePosition | null): Promise<Salvage> {
  return salvageWal({ ...walPlace(options), base: baseOf(state) });
}

/** Where the state is; null when it is damaged. */
async function durablePosition(options: OpenMemberOptions): Promise<StatePosition | null> {
  try {
    return await withState(options, async (state) => state.durable);
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

async function withState<T>(
  options: OpenMemberOptions,
  work: (state: MemberState) => Promise<T>,
): Promise<T> {
  const state = await MemberState.open(stateOptions(options));
  try {
    return await work(state);
  } finally {
    await state.close();
  }
}

function replaceLog(options: OpenMemberOptions, fresh: FreshLog): Promise<void> {
  const { walLimits = {} } = options;
  return replaceWal({ ...walPlace(options), limits: walLimits }, fresh);
}

function baseOf(state: StatePosition | null): LogPosition | null {
  return state === null || state.index === 0 ? null : { index: state.index, term: state.term };
}

function directoryOf({ config }: OpenMemberOptions): string {
  return config.dataDir ?? 'memory';
}

function walPlace(options: OpenMemberOptions): WalPlace {
  const { config, io } = options;
  const identity = { clusterId: config.clusterId, memberId: config.memberId };
  return { disk: io.disk, log: io.log, directory: directoryOf(options), identity };
}

function stateOptions(options: OpenMemberOptions): MemberStateOptions {
  const { config, io, engines } = options;
  const directory = directoryOf(options);
  return { disk: io.disk, log: io.log, engines, directory, clusterId: config.clusterId };
}

function stateHome(options: OpenMemberOptions) {
  const { disk, engines, directory } = stateOptions(options);
  return { disk, engines, directory: `${directory}/state` };
}
