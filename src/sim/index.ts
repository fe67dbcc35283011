/**
 * A virtual world for the production code: `openMember`, `Member` (log recovery, replica, state
 * machine, service), `ExecuteSession` and `Clerk` run unchanged on a clock, network and disk whose
 * every event follows from one seed. A run is a safety phase with faults of many kinds at once, a
 * liveness phase in which only a majority heals, and a verdict; docs/SIMULATION.md is the guide.
 *
 *   simulate.ts        one run           plan.ts       what its seed decides
 *   campaign.ts        many runs      runner.ts, worker.ts   here, or in other processes
 *   matrix.ts          which calls met which faults
 *   planted.ts, bugs/  where and which bugs are planted      hunt.ts   looks for each of them
 *   shorten.ts         which faults a failure needs
 *   recording.ts, page/  a run as one HTML page
 *
 *   world.ts           time: one event at a time, all promises settled before the next
 *   process.ts         what dies together; pause; skewed clocks      streams.ts   randomness
 *   peer-network.ts    Raft's messages, as bytes                     client-network.ts   streams
 *   sim-disk.ts        latency, stalls, errors, power cuts, damage   sim-engines.ts   the state's
 *   sim-member.ts      a machine with a member   asking.ts   its links while it asks the others
 *   utterances.ts      what members say, and what it means
 *   clerk-actor.ts     an application with a clerk   etcd-actor.ts, single-calls.ts   one without
 *   watch-actor.ts     an application that watches
 *   faults.ts          when somebody is hurt     inject.ts        who, and how
 *   liveness.ts        what must work afterwards
 *
 *   oracle.ts          Raft's promises after every event   shadow-log.ts, wal-reader.ts   disks
 *   patience.ts        whether whoever waits is answered
 *   history.ts         what clerks called and were told    judge.ts   whether that can be
 *   replay.ts, replay-sessions.ts   what the committed log says   watch-judge.ts   and watches tell
 */
export { BUGS, type Bug } from './bugs/all.ts';
export { type Patch, patched } from './bugs/patch.ts';
export { type Campaign, type CampaignOptions, runCampaign } from './campaign.ts';
export { Counters } from './counters.ts';
export type { FaultRecord } from './faults.ts';
export { type Caught, type HuntOptions, hunt } from './hunt.ts';
export { CALLS, Matrix } from './matrix.ts';
export { runPage } from './page/page.ts';
export { drawPlan, FAULT_KINDS, type FaultKind, type Plan, type PlanChanges } from './plan.ts';
export type { Planted } from './planted.ts';
export { Recording } from './recording.ts';
export { forkRunner, type Report, type Runner, reportOf, runHere, WORKER } from './runner.ts';
export { type Shortened, shorten } from './shorten.ts';
export { type RunResult, type SimulateOptions, simulate } from './simulate.ts';
export { Violation } from './violation.ts';
