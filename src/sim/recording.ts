import type { Ending } from './history.ts';

/** What a member was, from one moment to another. */
export interface MemberSpan {
  readonly member: string;
  readonly role: string;
  /** Null: it was not up. */
  readonly term: number | null;
  readonly fromMs: number;
}

/** A call of a clerk. */
export interface RecordedCall {
  readonly clerk: string;
  readonly what: string;
  readonly fromMs: number;
  /** Null: it had no end within the run. */
  toMs: number | null;
  /** `unknown` until it has ended. */
  ending: Ending;
}

/** What a picture of a run shows besides its faults; filled while the run goes on. */
export class Recording {
  readonly spans: MemberSpan[] = [];
  readonly calls: RecordedCall[] = [];
  readonly #now = new Map<string, string>();

  /** A member as it looks now; kept when it looks otherwise than before. */
  member(span: MemberSpan): void {
    const looks = `${span.role} ${span.term}`;
    if (this.#now.get(span.member) === looks) return;
    this.#now.set(span.member, looks);
    this.spans.push(span);
  }

  /** A call begins; the function returned takes its end. */
  call(call: Pick<RecordedCall, 'clerk' | 'what' | 'fromMs'>): CallEnded {
    const recorded: RecordedCall = { ...call, toMs: null, ending: 'unknown' };
    this.calls.push(recorded);
    return (ending, toMs) => {
      recorded.ending = ending;
      recorded.toMs = toMs;
    };
  }
}

/** Takes the end of a call. */
export type CallEnded = (ending: Ending, toMs: number) => void;
