import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';

/** What `net.connect` wants of a lookup. */
export type LookupDone = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void;

export type Lookup = (hostname: string, options: LookupOptions, done: LookupDone) => void;

/**
 * Looks names up, at most so many at once; more wait in line. Node resolves names on the four
 * threads that also write to the disk: with the name server gone, each lookup holds one of them for
 * seconds, and a member whose log can't be written stops leading.
 */
export function boundedLookup(inFlightMax: number, resolve: Lookup = lookup): Lookup {
  const waiting: (() => void)[] = [];
  let inFlight = 0;
  return (hostname, options, done) => {
    const run = (): void => {
      inFlight++;
      resolve(hostname, options, (...answer) => {
        inFlight--;
        waiting.shift()?.();
        done(...answer);
      });
    };
    if (inFlight < inFlightMax) run();
    else waiting.push(run);
  };
}
