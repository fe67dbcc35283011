/** `QUORATE_TEST_SCALE=full`: the campaigns at the length that the claims are about. */
export const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';

/** `SEED=n` repeats a campaign's choices; the processes' own timing differs from run to run. */
export const SEED = Number(process.env['SEED'] ?? 1);

/** `CYCLES=n` overrides how many cycles a campaign has. */
export function cyclesOf(scale: { readonly full: number; readonly short: number }): number {
  const given = process.env['CYCLES'];
  if (given !== undefined) return Number(given);
  return FULL ? scale.full : scale.short;
}

/** Says where a long campaign stands; a short one is silent. */
export function teller(name: string): (line: string) => void {
  return FULL ? (line) => process.stderr.write(`${name}: ${line}\n`) : () => {};
}
