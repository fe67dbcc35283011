import { KvError } from '../api/index.ts';
import type { Call, GiveUpReason } from './call.ts';

/** A command's place in a session, for messages. */
export interface CommandPlace {
  readonly sessionId: number;
  readonly seq: number;
}

/** What a caller is told who stops waiting: the outcome follows from what was sent. */
export function givenUpError(facts: {
  /** "put", "get", … */
  readonly what: string;
  readonly reason: GiveUpReason;
  readonly call: Pick<Call<unknown>, 'timeoutMs' | 'abortReason'>;
  /** An attempt was sent and not definitely refused. */
  readonly inDoubt: boolean;
  /** null before a seq was taken. */
  readonly place: CommandPlace | null;
  /** Why the last try to reach a member failed. */
  readonly trouble: KvError | null;
}): KvError {
  const { what, reason, call, inDoubt, place, trouble } = facts;
  const why = trouble === null ? '' : `; last trouble: ${trouble.message}`;
  const end = inDoubt ? unknownEnd(place) : 'not applied';
  switch (reason) {
    case 'deadline':
      return new KvError(
        inDoubt ? 'DEADLINE_UNKNOWN' : 'DEADLINE_NOT_APPLIED',
        `${what}: no answer within ${call.timeoutMs} ms, ${end}${why}`,
        { cause: trouble ?? undefined },
      );
    case 'abort':
      return new KvError(
        inDoubt ? 'CANCELLED_UNKNOWN' : 'CANCELLED_NOT_APPLIED',
        `${what}: called off, ${end}`,
        { cause: call.abortReason },
      );
    case 'closed':
      return new KvError(
        inDoubt ? 'CANCELLED_UNKNOWN' : 'CLOSED',
        `${what}: the clerk was closed, ${end}`,
      );
  }
}

function unknownEnd(place: CommandPlace | null): string {
  if (place === null) return 'it may have been applied';
  const { sessionId, seq } = place;
  return `it may have been applied: ask resolve(${seq}) of session ${sessionId}`;
}
