import type { Log } from '../io/index.ts';
import { reasonOf } from './exit.ts';

/** Last day of support of each major version of Node (nodejs/Release, schedule.json). */
const END_OF_LIFE: ReadonlyMap<number, string> = new Map([
  [20, '2026-04-30'],
  [21, '2024-06-01'],
  [22, '2027-04-30'],
  [23, '2025-06-01'],
  [24, '2028-04-30'],
  [25, '2026-06-01'],
  [26, '2029-04-30'],
]);

/** A line about a Node (`v20.19.0`) that gets no security fixes any more; null while it does. */
export function endOfLifeWarning(version: string, wallMs: number): string | null {
  const major = Number(/^v(\d+)\./.exec(version)?.[1]);
  const lastDay = END_OF_LIFE.get(major);
  if (lastDay === undefined || wallMs < Date.parse(lastDay)) return null;
  return `Node ${version} gets no security fixes since ${lastDay}; run version 24 or later`;
}

/**
 * A bug anywhere stops the process: it never goes on half alive. Warnings of Node itself go to the
 * log, because its own way of printing them could block.
 */
export function guardProcess(log: Log): void {
  process.on('uncaughtException', (error, origin) => {
    log.error(`stopping: ${origin}: ${reasonOf(error)}`, { error });
    process.exit(1);
  });
  process.removeAllListeners('warning');
  process.on('warning', (warning) => log.warn(`node: ${reasonOf(warning)}`));
}
