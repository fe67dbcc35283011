import type { Clock } from '../../io/index.ts';
import type { Done, SimpleMachine, StateStorage } from '../index.ts';

/** One command that was applied. */
export interface Applied {
  readonly text: string;
  readonly index: number;
  readonly timeMs: number;
}

/** Remembers every command in order; answers with its position. */
export class Recorder implements SimpleMachine {
  #records: Applied[] = [];
  readonly #texts = new Set<string>();

  get records(): readonly Applied[] {
    return this.#records;
  }

  get applied(): string[] {
    return this.#records.map(({ text }) => text);
  }

  has(text: string): boolean {
    return this.#texts.has(text);
  }

  get timesMs(): number[] {
    return this.#records.map(({ timeMs }) => timeMs);
  }

  /** Log entries that carried commands. */
  get entries(): number {
    return new Set(this.#records.map(({ index }) => index)).size;
  }

  apply(command: Uint8Array, { index, timeMs }: { index: number; timeMs: number }): Uint8Array {
    const text = new TextDecoder().decode(command);
    this.#records.push({ text, index, timeMs });
    this.#texts.add(text);
    return new TextEncoder().encode(String(this.#records.length));
  }

  save(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify(this.#records));
  }

  restore(state: Uint8Array): void {
    this.#records = JSON.parse(new TextDecoder().decode(state)) as Applied[];
    this.#texts.clear();
    for (const { text } of this.#records) this.#texts.add(text);
  }
}

/** What a machine saved, in memory; writing takes `writeMs`, or stands still, or fails. */
export class MemoryStorage implements StateStorage {
  readonly #clock: Clock;
  readonly initial: Uint8Array | null;
  #held: Uint8Array | null;
  #waiting: { readonly bytes: Uint8Array; readonly done: Done } | null = null;
  writeMs = 2;
  stalled = false;
  /** The error of the next write. */
  failure: Error | null = null;
  writes = 0;

  constructor(clock: Clock, before: MemoryStorage | null) {
    this.#clock = clock;
    this.#held = before === null ? null : before.#held;
    this.initial = this.#held;
  }

  /** True while a write is under way. */
  get writing(): boolean {
    return this.#waiting !== null;
  }

  write(bytes: Uint8Array, done: Done): void {
    if (this.#waiting !== null) throw new Error('two writes at once');
    this.#waiting = { bytes, done };
    this.#clock.setTimer(this.writeMs, () => this.#finish());
  }

  /** The disk works again. */
  resume(): void {
    this.stalled = false;
    this.#finish();
  }

  /** The power goes; what is being written may have reached the disk all the same. */
  cutPower(kept: boolean): void {
    if (kept && this.#waiting !== null) this.#held = this.#waiting.bytes;
    this.#waiting = null;
  }

  #finish(): void {
    const waiting = this.#waiting;
    if (waiting === null || this.stalled) return;
    this.#waiting = null;
    if (this.failure === null) this.#held = waiting.bytes;
    this.writes++;
    waiting.done(this.failure);
  }
}
