import { callLine, faultLine, HistoryFormatError, headerLine, parseLine } from './format.ts';
import type {
  FaultBand,
  History,
  HistoryHeader,
  Operation,
  Outcome,
  RecordedCall,
  Result,
} from './history.ts';

/** A call that was begun; exactly one of these is called when it ends. Times as in the header. */
export interface OpenCall {
  ok(result: Result, at: number, revision?: number): void;
  notApplied(at: number): void;
  unknown(at: number): void;
}

/** Collects a history while it happens; what is still open at the end has an unknown outcome. */
export class HistoryRecorder {
  readonly #header: HistoryHeader;
  readonly #calls: RecordedCall[] = [];
  readonly #open = new Set<RecordedCall>();
  readonly #faults: FaultBand[] = [];

  constructor(header: Partial<HistoryHeader> = {}) {
    this.#header = { title: '', unit: 'ns', revision: 1, ...header };
  }

  /** A call begins. */
  begin(call: {
    readonly clerk: string;
    readonly operation: Operation;
    readonly called: number;
    readonly session?: { readonly name: string; readonly seq: number };
  }): OpenCall {
    const { clerk, operation, called, session = null } = call;
    const outcome: Outcome = { type: 'unknown' };
    const open: RecordedCall = { clerk, session, operation, outcome, called, returned: null };
    this.#open.add(open);
    const end = (outcome: Outcome, returned: number): void => {
      if (this.#open.delete(open)) this.#calls.push({ ...open, outcome, returned });
    };
    return {
      ok: (result, at, revision) => end({ type: 'ok', result, revision: revision ?? null }, at),
      notApplied: (at) => end({ type: 'notApplied' }, at),
      unknown: (at) => end({ type: 'unknown' }, at),
    };
  }

  fault(band: FaultBand): void {
    this.#faults.push(band);
  }

  /** Everything so far, calls by time of call. */
  get history(): History {
    const calls = [...this.#calls, ...this.#open].sort((a, b) => a.called - b.called);
    return { header: this.#header, calls, faults: [...this.#faults] };
  }

  /** The recorded history, line by line, without line feeds. */
  lines(): Generator<string> {
    return historyLines(this.history);
  }
}

/** A history as lines, without line feeds. */
export function* historyLines({ header, calls, faults }: History): Generator<string> {
  yield headerLine(header);
  for (const band of faults) yield faultLine(band);
  for (const call of calls) yield callLine(call);
}

/** Puts a history together from its lines; empty lines are skipped. */
export class HistoryReader {
  #line = 0;
  #header: HistoryHeader | null = null;
  readonly #calls: RecordedCall[] = [];
  readonly #faults: FaultBand[] = [];

  /** @throws HistoryFormatError naming the line */
  push(text: string): void {
    this.#line++;
    if (this.#line > 1 && text.trim() === '') return;
    const line = parseLine(text, this.#line);
    if (line.type === 'header') this.#header = line.header;
    else if (line.type === 'call') this.#calls.push(line.call);
    else this.#faults.push(line.band);
  }

  /** @throws HistoryFormatError if there was not even a header */
  end(): History {
    if (this.#header === null) throw new HistoryFormatError(1, 'the history is empty');
    return { header: this.#header, calls: this.#calls, faults: this.#faults };
  }
}
