/**
 * `quorate demo`: half a minute of faults on a real cluster, with a verdict.
 *
 *   demo.ts       the command: flags, directory, exit code
 *   show.ts       one run from start to verdict
 *   stage.ts      the cluster with its clerks and their links
 *   plan.ts       which fault comes when; pure
 *   faults.ts     carries the plan out on the processes and their links
 *   load.ts       a clerk that appends and puts, many commands at a time
 *   takeover.ts   drops a clerk in doubt and opens its successor
 *   meter.ts      acknowledgements, and how long there were none
 *   watch.ts      what the members say of themselves
 *   collect.ts    reads back what the cluster holds
 *   verify.ts     judges it against what the clerks were told; pure
 *   display.ts    live table, or plain lines; report.ts says the verdict in words
 */
export { demoCommand } from './demo.ts';
