import { type Clerk, KvError } from '../../client/index.ts';
import { assert, type Prng } from '../../lib/index.ts';
import { reasonOf } from '../exit.ts';
import type { Issued } from './verify.ts';

/** Bounds of one clerk's load. */
export const LOAD_LIMITS = {
  /** Commands of a clerk on their way at once. */
  inFlightMax: 16,
  /** At most `burst` new commands every `tickMs`: 500 a second. */
  burst: 5,
  tickMs: 10,
  /** Appends of one clerk to one key; then comes the next key, so that values stay small. */
  appendsPerKey: 100,
  /** Part of the commands that append; the others put. */
  appendShare: 0.7,
} as const;

/** Every key of the demo begins with this. */
export const KEY_PREFIX = 'demo/';

/** A command on its way or answered. */
export type Command = { -readonly [Field in keyof Issued]: Issued[Field] };

/** What an answer says of a command. */
export interface CommandAnswer {
  readonly seq: number;
  readonly revision: number;
  readonly valueBytes: number | null;
}

/** One clerk under load: always some commands on their way, every one written down. */
export class LoadClerk {
  /** Also the name of its session. */
  readonly name: string;
  /** In the order of the calls. */
  readonly commands: Command[] = [];
  /** What went against a promise, one sentence each. */
  readonly anomalies: string[] = [];
  readonly #group: string;
  readonly #prng: Prng;
  readonly #onAcknowledged: () => void;
  /** Commands of the present clerk without an answer, by seq. */
  readonly #open = new Map<number, { command: Command; settled: Promise<void> }>();
  #clerk: Clerk;
  #timer: NodeJS.Timeout | null = null;
  #lastSeq = 0;
  #appends = 0;
  #puts = 0;

  /** `group`: clerks of one group append to the same keys. */
  constructor(options: {
    readonly name: string;
    readonly group: string;
    readonly clerk: Clerk;
    readonly prng: Prng;
    readonly onAcknowledged: () => void;
  }) {
    this.name = options.name;
    this.#group = options.group;
    this.#clerk = options.clerk;
    this.#prng = options.prng;
    this.#onAcknowledged = options.onAcknowledged;
  }

  /** The clerk in use. */
  get clerk(): Clerk {
    return this.#clerk;
  }

  get inFlight(): number {
    return this.#open.size;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.#tick(), LOAD_LIMITS.tickMs);
  }

  /** Issues nothing more; what is on its way goes on. */
  pause(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Resolves when every command has its outcome. */
  async settled(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ settled }) => settled));
  }

  /** Issues the next command, whatever is on its way. */
  issue(): void {
    const command = this.#nextCommand();
    this.commands.push(command);
    const clerk = this.#clerk;
    const settled = this.send(command, {}).then(
      (answer) => this.#answered(clerk, command, answer),
      (error: unknown) => this.#failed(clerk, command, error),
    );
    this.#open.set(command.seq, { command, settled });
  }

  /** Sends a command to the cluster, under its number if `seq` is given. */
  async send(command: Command, options: { readonly seq?: number }): Promise<CommandAnswer> {
    const { type, key, text } = command;
    if (type === 'append') return await this.#clerk.append(key, text, options);
    const { seq, revision } = await this.#clerk.put(key, text, options);
    return { seq, revision, valueBytes: null };
  }

  /** Writes down that a command was executed, and what its answer said. */
  acknowledge(command: Command, { seq, revision, valueBytes }: CommandAnswer): void {
    if (seq !== command.seq) {
      this.anomalies.push(`seq: command ${command.seq} of ${this.name} was answered as ${seq}`);
    }
    command.outcome = 'acknowledged';
    command.answer = { revision, valueBytes };
    this.#onAcknowledged();
  }

  /** A token of a key of the appends that nobody else uses; its outcome is to be `notApplied`. */
  addRefused(): Command {
    const { name: clerk } = this;
    const key = this.#appendKey();
    const command: Command = {
      ...{ clerk, seq: 0, type: 'append', key, text: `<${clerk} refused>` },
      ...{ outcome: 'notApplied', answer: null },
    };
    this.commands.push(command);
    return command;
  }

  /**
   * The clerk is gone, as a process that was killed: nothing it hears from now on counts.
   * @returns the commands in doubt, in order
   */
  drop(): Command[] {
    this.pause();
    const inDoubt = [...this.#open.values()].map(({ command }) => command);
    this.#open.clear();
    return inDoubt;
  }

  /** Goes on with a clerk that has opened the same session. */
  resumeWith(clerk: Clerk): void {
    assert(this.#open.size === 0 && this.#timer === null, 'the former clerk was not dropped');
    this.#clerk = clerk;
  }

  #tick(): void {
    for (let n = 0; n < LOAD_LIMITS.burst; n++) {
      if (this.#open.size < LOAD_LIMITS.inFlightMax) this.issue();
    }
  }

  #nextCommand(): Command {
    const base = {
      clerk: this.name,
      seq: ++this.#lastSeq,
      outcome: 'unknown',
      answer: null,
    } as const;
    if (this.#prng.chance(LOAD_LIMITS.appendShare)) {
      const key = this.#appendKey();
      const text = `<${this.name} ${++this.#appends}>`;
      return { ...base, type: 'append', key, text };
    }
    const text = `${this.name} ${++this.#puts}`;
    return { ...base, type: 'put', key: `${KEY_PREFIX}put/${this.name}`, text };
  }

  #appendKey(): string {
    const page = Math.floor(this.#appends / LOAD_LIMITS.appendsPerKey);
    return `${KEY_PREFIX}log/${this.#group}/${page}`;
  }

  #answered(clerk: Clerk, command: Command, answer: CommandAnswer): void {
    if (!this.#isOpen(clerk, command)) {
      this.anomalies.push(`fence: the dropped ${this.name} got an answer to seq ${command.seq}`);
      return;
    }
    this.#open.delete(command.seq);
    this.acknowledge(command, answer);
  }

  #failed(clerk: Clerk, command: Command, error: unknown): void {
    if (!this.#isOpen(clerk, command)) return; // what the successor found out counts
    this.#open.delete(command.seq);
    if (error instanceof KvError && error.outcome === 'notApplied') command.outcome = 'notApplied';
    this.anomalies.push(`gave up: seq ${command.seq} of ${this.name}: ${reasonOf(error)}`);
    this.pause();
  }

  /** The clerk that was asked is still the one in use, and waits. */
  #isOpen(clerk: Clerk, { seq }: Command): boolean {
    return clerk === this.#clerk && this.#open.has(seq);
  }
}
