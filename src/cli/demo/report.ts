import type { Evidence, Judgement } from './verify.ts';

/** Failures that are told one by one. */
const FAILURES_SHOWN = 10;

/** The verdict in words, as lines. */
export function verdictLines(
  evidence: Evidence,
  judgement: Judgement,
  pausesMs: readonly number[],
): string[] {
  const { acknowledged, missing, repeated, outOfOrder, failures } = judgement;
  const { kills, freezes, droppedReplyBytes } = evidence.faults;
  const lost = `${(droppedReplyBytes / 1024).toFixed(1)} KiB of replies dropped`;
  const found = `missing ${missing}, repeated ${repeated}, out of order ${outOfOrder}`;
  const rows: [string, string][] = [
    ['commands', `acknowledged ${acknowledged}, ${found}`],
    ['in doubt', doubts(evidence)],
    ['faults', `${kills} leaders killed, ${freezes} frozen, ${lost}`],
    ['replicas', replicas(evidence)],
    ['pauses', pauses(pausesMs)],
  ];
  const shown = failures.slice(0, FAILURES_SHOWN).map((failure) => `  - ${failure}`);
  const rest = failures.length - shown.length;
  return [
    '',
    ...rows.map(([label, text]) => `  ${label.padEnd(9)} ${text}`),
    '',
    failures.length === 0 ? 'PASS' : `FAIL: ${failures.length} contradictions or omissions`,
    ...shown,
    ...(rest > 0 ? [`  - and ${rest} more`] : []),
  ];
}

function doubts({ takeovers }: Evidence): string {
  if (takeovers.length === 0) return 'no clerk was replaced';
  return takeovers
    .map(({ clerk, inDoubt, executed, repeated, refusal }) => {
      const resolved = `${inDoubt} resolved, ${executed} had run, ${repeated} were repeated`;
      const old = refusal === null ? 'was NOT refused' : `got ${refusal}`;
      return `${resolved}; the dropped ${clerk} ${old}`;
    })
    .join('; ');
}

function replicas({ members, replicas }: Evidence): string {
  const counts = new Map<string, number>();
  for (const { appliedIndex, stateHash } of replicas) {
    const state = `${stateHash} at index ${appliedIndex}`;
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  if (counts.size === 0) return `0 of ${members} told their state`;
  const each = [...counts].map(([state, n]) => `${n} of ${members} with state hash ${state}`);
  return each.join(', ');
}

function pauses(pausesMs: readonly number[]): string {
  if (pausesMs.length === 0) return 'none measured';
  return `longest after a leader kill ${Math.max(...pausesMs)} ms (${pausesMs.join(', ')})`;
}
