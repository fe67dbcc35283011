/**
 * One append as its clerk saw it. Tokens are unique in the whole history and contain no other
 * token.
 */
export interface TokenAppend {
  readonly clerk: string;
  readonly token: string;
  /**
   * `notApplied`: the clerk was told that it never happened. `unknown`: it was told nothing
   * certain.
   */
  readonly outcome: 'acknowledged' | 'notApplied' | 'unknown';
}

/**
 * Judges the final value of a key that many clerks appended to: every acknowledged token stands in
 * it exactly once, a refused one never, one in doubt at most once, each clerk's tokens in the order
 * of
 * its calls, and nothing else. Linear in the size of the input.
 * @param appends in each clerk's order of calling
 * @returns one sentence per contradiction; empty when all is well
 */
export function checkAppends(value: string, appends: readonly TokenAppend[]): string[] {
  const faults: string[] = [];
  const nextFrom = new Map<string, number>();
  let explained = 0;
  for (const { clerk, token, outcome } of appends) {
    const at = value.indexOf(token);
    if (at < 0) {
      if (outcome === 'acknowledged') faults.push(`lost: ${token} of ${clerk} was acknowledged`);
      continue;
    }
    explained += token.length;
    if (outcome === 'notApplied') faults.push(`ghost: ${token} of ${clerk} was refused`);
    if (value.indexOf(token, at + 1) >= 0) faults.push(`twice: ${token} of ${clerk}`);
    if (at < (nextFrom.get(clerk) ?? 0))
      faults.push(`order: ${token} of ${clerk} stands too early`);
    nextFrom.set(clerk, at + token.length);
  }
  if (faults.length === 0 && explained !== value.length) {
    faults.push(`phantom: ${value.length - explained} characters belong to no append`);
  }
  return faults;
}
