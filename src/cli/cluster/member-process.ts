import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { MemberStatus } from '../../api/index.ts';
import { type Deferred, deferred } from '../../lib/index.ts';
import { isMemberMessage, type MemberMessage } from './control.ts';

/** How long a member may take to stop by itself before it is killed, milliseconds. */
const STOP_MS = 5_000;

/** How far from the end of its log a member's last line is looked for. */
const TAIL_BYTES = 4_096;

/** How to start one member. */
export interface MemberSpec {
  readonly name: string;
  /** Program and first arguments that make it a member: `[node, main.js, 'serve']`. */
  readonly command: readonly string[];
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Receives the member's output, appended. */
  readonly logPath: string;
}

/** How a process ended. */
export interface MemberExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One run of a member's process. */
interface Run {
  readonly child: ChildProcess;
  readonly listening: Deferred<void>;
  readonly ready: Deferred<void>;
  readonly exited: Promise<MemberExit>;
  readonly questions: Map<number, Deferred<MemberStatus>>;
}

/** A member as a process of its own, which can be started, killed, frozen and started again. */
export class MemberProcess {
  readonly spec: MemberSpec;
  /** Called when the process ends by itself or is killed by anybody. */
  readonly #onExit: (exit: MemberExit) => void;
  #run: Run | null = null;
  #paused = false;
  #requestId = 0;

  constructor(spec: MemberSpec, onExit: (exit: MemberExit) => void) {
    this.spec = spec;
    this.#onExit = onExit;
  }

  /** Process id; null while it does not run. */
  get pid(): number | null {
    return this.#run?.child.pid ?? null;
  }

  get running(): boolean {
    return this.#run !== null;
  }

  /**
   * Starts the process; resolves when it serves clients.
   * @throws Error with the member's last line when it ends before that.
   */
  async start(): Promise<void> {
    if (this.#run !== null) throw new Error(`member ${this.spec.name} runs already`);
    const run = this.#spawn();
    this.#run = run;
    await run.listening.promise;
  }

  /** Resolves when the member knows a leader. */
  async ready(): Promise<void> {
    await this.#current().ready.promise;
  }

  /** Ends the process without warning, also a frozen one, and waits until it is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    run.child.kill(signal);
    await run.exited;
  }

  /** Freezes the process (SIGSTOP). */
  pause(): void {
    this.#current().child.kill('SIGSTOP');
    this.#paused = true;
  }

  /** Thaws it (SIGCONT). */
  resume(): void {
    this.#current().child.kill('SIGCONT');
    this.#paused = false;
  }

  /** The member's own view, asked over its control channel, whatever the network does. */
  async status(timeoutMs = 2_000): Promise<MemberStatus> {
    const { child, questions } = this.#current();
    const requestId = ++this.#requestId;
    const answer = deferred<MemberStatus>();
    questions.set(requestId, answer);
    const timer = setTimeout(
      () =>
        answer.reject(new Error(`member ${this.spec.name} gave no status within ${timeoutMs} ms`)),
      timeoutMs,
    );
    child.send({ type: 'status', requestId }, (error) => {
      if (error !== null) answer.reject(error);
    });
    try {
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      questions.delete(requestId);
    }
  }

  /** Stops the member in good order, or kills it when that takes too long. Safe to call twice. */
  async close(): Promise<void> {
    const run = this.#run;
    if (run === null) return;
    if (this.#paused) this.resume();
    const timer = setTimeout(() => run.child.kill('SIGKILL'), STOP_MS);
    run.child.kill('SIGTERM');
    await run.exited;
    clearTimeout(timer);
  }

  /** The last line the member has written; empty when there is none. */
  lastLine(): string {
    const fd = openSync(this.spec.logPath, 'r');
    try {
      const tail = Buffer.alloc(TAIL_BYTES);
      const from = Math.max(0, fstatSync(fd).size - TAIL_BYTES);
      const text = tail.toString('utf8', 0, readSync(fd, tail, 0, TAIL_BYTES, from));
      return text.trimEnd().split('\n').at(-1) ?? '';
    } finally {
      closeSync(fd);
    }
  }

  #current(): Run {
    if (this.#run === null) throw new Error(`member ${this.spec.name} does not run`);
    return this.#run;
  }

  #spawn(): Run {
    const [program = process.execPath, ...args] = this.spec.command;
    const logFd = openSync(this.spec.logPath, 'a', 0o600);
    const child = spawn(program, [...args, ...this.spec.flags], {
      stdio: ['ignore', logFd, logFd, 'ipc'],
      serialization: 'advanced',
      env: { ...this.spec.environment },
      detached: true, // Ctrl-C is for whoever started the cluster; it stops the members in order
    });
    closeSync(logFd);
    const run: Run = {
      child,
      listening: deferred(),
      ready: deferred(),
      exited: exitOf(child),
      questions: new Map(),
    };
    // Both may fail before anybody asks for them.
    for (const { promise } of [run.listening, run.ready]) promise.catch(() => {});
    child.on('message', (message) => {
      if (isMemberMessage(message)) handleMessage(run, message);
    });
    run.exited.then((exit) => this.#end(run, exit));
    return run;
  }

  #end(run: Run, exit: MemberExit): void {
    this.#run = null;
    this.#paused = false;
    const how = exit.signal === null ? `exit code ${exit.code}` : exit.signal;
    const error = new Error(`member ${this.spec.name} ended (${how}): ${this.lastLine()}`);
    run.listening.reject(error);
    run.ready.reject(error);
    for (const question of run.questions.values()) question.reject(error);
    this.#onExit(exit);
  }
}

/** Resolves when the process is gone, also when it never came to be. */
function exitOf(child: ChildProcess): Promise<MemberExit> {
  return new Promise((resolve) => {
    child.on('exit', (code, signal) => resolve({ code, signal }));
    child.on('error', () => {
      if (child.pid === undefined) resolve({ code: null, signal: null });
    });
  });
}

function handleMessage(run: Run, message: MemberMessage): void {
  switch (message.type) {
    case 'listening':
      run.listening.resolve();
      return;
    case 'ready':
      run.ready.resolve();
      return;
    case 'status':
      run.questions.get(message.requestId)?.resolve(message.status);
      return;
    default:
      return message satisfies never;
  }
}
