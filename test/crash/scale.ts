/** `QUORATE_TEST_SCALE=full`: every state after every crash, and as thoroughly after recoveries. */
export const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';
export const FULL_TIMEOUT_MS = 60 * 60_000;
export const SEED = Number(process.env['SEED'] ?? 1);
