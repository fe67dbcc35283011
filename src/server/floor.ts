import type { Answers } from './ask-terms.ts';

/* What the answers to `askTerms` mean; docs/decisions/0007 has the proof. */

/** True when somebody has taken part in an election, or has lost what says so. */
export function hasHistory(answers: Answers): boolean {
  return [...answers.values()].some((answer) =>
    answer.type === 'runs' ? answer.term > 0 : !answer.isNew,
  );
}

/**
 * Nobody who answered knows of a term. With all of them that is certain. When the others had their
 * time to object, a majority is enough that begins together, with empty directories: one that runs
 * already and knows of no term may only have been out of reach of those who have elected.
 */
export function isNewCluster(
  answers: Answers,
  { membersMax, isLate }: { membersMax: number; isLate: boolean },
): boolean {
  if (answers.size + 1 === membersMax) return true;
  const together = [...answers.values()].filter((answer) =>
    answer.type === 'runs' ? answer.wasNew : answer.isNew && answer.hearsUs,
  );
  return isLate && together.length + 1 >= majorityOf(membersMax);
}

/**
 * A term that is not below any in which this member acknowledged an entry, nor, when all others
 * answered, below any in which its vote can still count; null: too few have answered. Only those
 * that run and have a term remember; of one that asks itself the answer says that it is no
 * candidate any more.
 */
export function floorOf(
  answers: Answers,
  { membersMax, needsAll }: { membersMax: number; needsAll: boolean },
): number | null {
  const terms: number[] = [];
  for (const answer of answers.values()) {
    if (answer.type === 'runs' && answer.term > 0) terms.push(answer.term);
  }
  if (terms.length < majorityOf(membersMax)) return null;
  if (needsAll && answers.size < membersMax - 1) return null;
  return Math.max(...terms);
}

export function majorityOf(membersMax: number): number {
  return Math.floor(membersMax / 2) + 1;
}
