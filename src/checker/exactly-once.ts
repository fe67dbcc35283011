import { countTokens, type TokenAppend } from './appends.ts';

/** An append as a command of a session. */
export interface SessionAppend extends TokenAppend {
  readonly session: string;
  /** The command's number in the session, from 1. */
  readonly seq: number;
}

/** What one member says it executed: the commands of its debug log. */
export interface Executions {
  readonly member: string;
  readonly commands: Iterable<{ readonly session: string; readonly seq: number }>;
}

/**
 * Judges whether every command ran exactly once: counts tokens over the final values of all keys,
 * and, if members say what they executed, counts that too. An acknowledged command counts 1, a
 * refused one 0, one in doubt at most 1; all members count the same. Linear in the size of
 * all finals and appends together; each member adds its commands and once more the appends.
 * @returns one sentence per contradiction; empty when all is well
 */
export function checkExactlyOnce(
  finals: Iterable<string>,
  appends: readonly SessionAppend[],
  members: Iterable<Executions> = [],
): string[] {
  const faults: string[] = [];
  const names = new Map<string, SessionAppend>();
  for (const append of appends) {
    const name = nameOf(append);
    if (names.has(name)) faults.push(`reused: ${name} is two commands`);
    names.set(name, append);
  }
  const { counts, foreign } = countTokens(finals, appends);
  for (const characters of foreign) {
    if (characters > 0) faults.push(`phantom: ${characters} characters belong to no append`);
  }
  appends.forEach((append, i) => {
    const fault = faultOf(append, counts[i] ?? 0);
    if (fault !== null) faults.push(`${fault}: ${append.token}, ${nameOf(append)}`);
  });
  for (const executions of members) faults.push(...judgeMember(executions, names, appends, counts));
  return faults;
}

function judgeMember(
  { member, commands }: Executions,
  names: ReadonlyMap<string, SessionAppend>,
  appends: readonly SessionAppend[],
  counts: Int32Array,
): string[] {
  const faults: string[] = [];
  const executed = new Map<string, number>();
  for (const command of commands) {
    const name = nameOf(command);
    executed.set(name, (executed.get(name) ?? 0) + 1);
    if (!names.has(name)) faults.push(`phantom: ${member} executed ${name}, which nobody sent`);
  }
  appends.forEach((append, i) => {
    const name = nameOf(append);
    const times = executed.get(name) ?? 0;
    if (times === counts[i]) return;
    faults.push(
      `differs: ${member} executed ${name} ${times} times, its token counts ${counts[i]}`,
    );
  });
  return faults;
}

function faultOf({ outcome }: SessionAppend, count: number): string | null {
  if (count > 1) return 'twice';
  if (count === 0) return outcome === 'acknowledged' ? 'lost' : null;
  return outcome === 'notApplied' ? 'ghost' : null;
}

function nameOf({ session, seq }: { readonly session: string; readonly seq: number }): string {
  return `seq ${seq} of ${session}`;
}
