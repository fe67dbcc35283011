import { checkAppends, type TokenAppend } from '../../checker/index.ts';
import { KILLS } from './plan.ts';

/** One command as its clerk issued it, and what the clerk was told. */
export interface Issued {
  readonly clerk: string;
  /** In the clerk's session, counted from 1. */
  readonly seq: number;
  readonly type: 'append' | 'put';
  /** A put's key is its clerk's own; clerks may append to the same one. */
  readonly key: string;
  /** A unique token, ASCII. */
  readonly text: string;
  readonly outcome: TokenAppend['outcome'];
  /** null unless acknowledged; `valueBytes` only of an append. */
  readonly answer: { readonly revision: number; readonly valueBytes: number | null } | null;
}

/** What a key holds at the end. */
export interface Held {
  readonly text: string;
  /** Changes of the key since it was created. */
  readonly version: number;
}

/** One member at the end. */
export interface ReplicaState {
  readonly member: string;
  readonly appliedIndex: number;
  readonly stateHash: string;
}

/** How a clerk was dropped and replaced. */
export interface Takeover {
  readonly clerk: string;
  /** Commands the dropped clerk had heard nothing of: `executed` + `repeated`. */
  readonly inDoubt: number;
  /** Of those, the ones the successor found executed. */
  readonly executed: number;
  /** And the ones it found not executed and sent again under their own seq. */
  readonly repeated: number;
  /** How a further command of the dropped clerk was refused; null when it was not. */
  readonly refusal: string | null;
}

/** What was done to the cluster. */
export interface FaultCounts {
  readonly kills: number;
  readonly freezes: number;
  readonly droppedReplyBytes: number;
}

/** Everything the verdict rests on. */
export interface Evidence {
  /** Each clerk's commands in the order of its calls. */
  readonly commands: readonly Issued[];
  /** Every key below the demo's prefix. */
  readonly held: ReadonlyMap<string, Held>;
  readonly members: number;
  readonly replicas: readonly ReplicaState[];
  readonly faults: FaultCounts;
  readonly takeovers: readonly Takeover[];
  /** What went against a promise while the load ran, one sentence each. */
  readonly anomalies: readonly string[];
}

/** What the evidence says. */
export interface Judgement {
  readonly issued: number;
  readonly acknowledged: number;
  readonly missing: number;
  readonly repeated: number;
  readonly outOfOrder: number;
  /** One sentence for each contradiction or omission; empty when all holds. */
  readonly failures: readonly string[];
}

type Finding = 'missing' | 'repeated' | 'outOfOrder' | 'other';

/** First words of the checker's sentences. */
const FINDING_OF: Readonly<Record<string, Finding>> = {
  lost: 'missing',
  twice: 'repeated',
  order: 'outOfOrder',
};

/** Counts contradictions and keeps what to say of them. */
class Findings {
  readonly failures: string[] = [];
  readonly counts: Record<Finding, number> = { missing: 0, repeated: 0, outOfOrder: 0, other: 0 };

  add(finding: Finding, failure: string, count = 1): void {
    this.counts[finding] += count;
    this.failures.push(failure);
  }
}

/** Judges a run: every promise, and that there was enough to judge. */
export function judge(evidence: Evidence): Judgement {
  const { commands, held } = evidence;
  const findings = new Findings();
  for (const anomaly of evidence.anomalies) findings.add('other', anomaly);
  for (const [key, issued] of groupBy(commands, ({ key }) => key)) {
    const holds = held.get(key) ?? { text: '', version: 0 };
    if (issued[0]?.type === 'put') judgePuts(issued, holds, findings);
    else judgeAppends(issued, holds, findings);
  }
  const written = new Set(commands.map(({ key }) => key));
  for (const key of held.keys()) {
    if (!written.has(key)) findings.add('other', `phantom: nobody wrote to ${key}`);
  }
  for (const [clerk, issued] of groupBy(commands, ({ clerk }) => clerk)) {
    judgeSession(clerk, issued, findings);
  }
  judgeReplicas(evidence, findings);
  judgeFaults(evidence, findings);
  const { missing, repeated, outOfOrder } = findings.counts;
  const acknowledged = commands.filter(({ outcome }) => outcome === 'acknowledged').length;
  if (acknowledged === 0) findings.add('other', 'no command was acknowledged');
  const { failures } = findings;
  return { issued: commands.length, acknowledged, missing, repeated, outOfOrder, failures };
}

function judgeAppends(issued: readonly Issued[], { text }: Held, findings: Findings): void {
  const appends = issued.map(({ clerk, text, outcome }) => ({ clerk, token: text, outcome }));
  for (const fault of checkAppends(text, appends)) {
    const kind = fault.slice(0, fault.indexOf(':'));
    findings.add(FINDING_OF[kind] ?? 'other', `${issued[0]?.key}: ${fault}`);
  }
  for (const { clerk, seq, text: token, answer } of issued) {
    const at = text.indexOf(token);
    const end = at + token.length;
    if (answer === null || at < 0 || answer.valueBytes === end) continue;
    const said = `a value of ${answer.valueBytes} bytes, but ${token} ends at ${end}`;
    findings.add('other', `answer: seq ${seq} of ${clerk} was told ${said}`);
  }
}

/** Puts of one clerk to a key of its own: the last one stands, and each made one version. */
function judgePuts(issued: readonly Issued[], held: Held, findings: Findings): void {
  const { clerk = '', key = '' } = issued[0] ?? {};
  const acknowledged = issued.filter(({ outcome }) => outcome === 'acknowledged');
  const possible = issued.filter(({ outcome }) => outcome !== 'notApplied');
  const less = acknowledged.length - held.version;
  const more = held.version - possible.length;
  const versions = `${key} has version ${held.version}`;
  if (less > 0) {
    const said = `lost: ${versions} after ${acknowledged.length} puts of ${clerk}`;
    findings.add('missing', said, less);
  }
  if (more > 0) {
    const said = `twice: ${versions} after ${possible.length} puts of ${clerk}`;
    findings.add('repeated', said, more);
  }
  const stands = issued.findIndex(({ text }) => text === held.text);
  const last = acknowledged.at(-1);
  if (last === undefined) return;
  if (stands < 0) {
    findings.add('missing', `lost: ${key} holds ${JSON.stringify(held.text)}, no put of ${clerk}`);
  } else if (issued[stands]?.outcome === 'notApplied') {
    findings.add('other', `ghost: ${key} holds ${held.text}, which was refused`);
  } else if (stands < issued.indexOf(last)) {
    findings.add('outOfOrder', `order: ${key} holds ${held.text}, after it came ${last.text}`);
  }
}

/** One clerk's commands took effect in the order of its calls: their revisions grow. */
function judgeSession(clerk: string, issued: readonly Issued[], findings: Findings): void {
  let before: { seq: number; revision: number } | null = null;
  for (const { seq, answer } of issued) {
    if (answer === null) continue;
    const { revision } = answer;
    if (before !== null && revision <= before.revision) {
      const said = `seq ${seq} in revision ${revision}, seq ${before.seq} in ${before.revision}`;
      findings.add('outOfOrder', `order: ${clerk}: ${said}`);
    }
    before = { seq, revision };
  }
}

function judgeReplicas({ members, replicas }: Evidence, findings: Findings): void {
  if (replicas.length < members) {
    findings.add('other', `replicas: only ${replicas.length} of ${members} told their state`);
  }
  const states = new Set(
    replicas.map(({ appliedIndex, stateHash }) => `${appliedIndex} ${stateHash}`),
  );
  if (states.size > 1) {
    const each = replicas.map(
      ({ member, appliedIndex, stateHash }) => `${member} ${stateHash} at ${appliedIndex}`,
    );
    findings.add('other', `replicas differ: ${each.join(', ')}`);
  }
}

/** A run without its faults proves nothing. */
function judgeFaults({ faults, takeovers, commands }: Evidence, findings: Findings): void {
  if (faults.kills < KILLS) {
    findings.add('other', `faults: ${faults.kills} of ${KILLS} leaders were killed`);
  }
  if (faults.freezes < 1) findings.add('other', 'faults: no member was frozen');
  if (faults.droppedReplyBytes === 0) findings.add('other', 'faults: no reply was dropped');
  if (takeovers.length === 0) findings.add('other', 'faults: no clerk was replaced');
  for (const { clerk, inDoubt, refusal } of takeovers) {
    if (inDoubt === 0) findings.add('other', `faults: ${clerk} was dropped with nothing in doubt`);
    if (refusal === null) findings.add('other', `fence: the dropped ${clerk} was not refused`);
  }
  const open = commands.filter(({ outcome }) => outcome === 'unknown').length;
  if (open > 0) findings.add('other', `${open} commands ended without a certain outcome`);
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
