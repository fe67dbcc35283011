const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Longest duration taken: 24 hours, in milliseconds; well below what a timer of Node can hold. */
export const DURATION_MAX_MS = 24 * 3_600_000;

/**
 * Milliseconds of a duration as Go writes it: `500ms`, `5s`, `1.5m`, `1h30m`.
 * @returns null for anything else, for zero, and for more than `maxMs`.
 */
export function parseDurationMs(text: string, maxMs = DURATION_MAX_MS): number | null {
  if (!/^(?:\d{1,9}(?:\.\d{1,9})?(?:ms|s|m|h))+$/.test(text)) return null;
  let totalMs = 0;
  for (const [, count, unit] of text.matchAll(/([\d.]+)(ms|s|m|h)/g)) {
    totalMs += Number(count) * (UNIT_MS[unit ?? ''] ?? Number.NaN);
  }
  const rounded = Math.round(totalMs);
  return rounded >= 1 && rounded <= maxMs ? rounded : null;
}
