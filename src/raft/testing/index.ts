/**
 * How the core is tested. `Member` drives one core as a replica would, with a disk that can be slow
 * and lose what was not synced. `Cluster` puts members on a network where nothing moves by itself,
 * and its `Oracle` judges every step. `Solo` is one core against hand-made messages; `runScenario`
 * runs the texts in ../scenarios; `Schedule` plays dice.
 */
export { Cluster, type ClusterEvent, type ClusterOptions } from './cluster.ts';
export { showEvent, showMessage } from './format.ts';
export { Member, type Observation } from './member.ts';
export { changed, confAfter, everyone, isQuorum } from './membership.ts';
export { Oracle } from './oracle.ts';
export { runScenario } from './scenario.ts';
export { Schedule } from './schedule.ts';
export * from './solo.ts';
