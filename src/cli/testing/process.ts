import { type ChildProcess, spawn } from 'node:child_process';
import { inject } from 'vitest';

/** How a run of the command ended. */
export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Program and first argument of the compiled command. */
export function quorateCommand(): string[] {
  return [process.execPath, inject('quorateMain')];
}

/** Runs the command as a real process to its end; only the given variables are set. */
export async function quorate(
  args: readonly string[],
  options: { stdin?: Uint8Array | string; environment?: Record<string, string> } = {},
): Promise<Finished> {
  const [program = '', ...first] = quorateCommand();
  const child = spawn(program, [...first, ...args], {
    stdio: 'pipe',
    env: { PATH: process.env['PATH'], ...options.environment },
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => stdout.push(part));
  child.stderr.on('data', (part: Buffer) => stderr.push(part));
  child.stdin.on('error', () => {}); // the command may end without reading its input
  child.stdin.end(options.stdin ?? '');
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on('close', (exitCode, exitSignal) => resolve([exitCode, exitSignal]));
  });
  return {
    code,
    signal,
    stdout: Buffer.concat(stdout),
    stderr: Buffer.concat(stderr).toString(),
  };
}

/** A command that lasts: its output is read line by line while it runs. */
export class Running {
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  #unread = '';
  #stderr = '';
  #wake: () => void = () => {};

  constructor(args: readonly string[]) {
    const [program = '', ...first] = quorateCommand();
    this.#child = spawn(program, [...first, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout?.on('data', (part: Buffer) => {
      this.#unread += String(part);
      this.#wake();
    });
    this.#child.stderr?.on('data', (part: Buffer) => {
      this.#stderr += String(part);
    });
    this.#exited = new Promise((resolve) => {
      this.#child.on('close', (code) => {
        resolve(code);
        this.#wake();
      });
    });
  }

  /** The next `count` lines. @throws Error when the command ends before. */
  async lines(count: number): Promise<string[]> {
    for (;;) {
      const parts = this.#unread.split('\n');
      if (parts.length > count) {
        this.#unread = parts.slice(count).join('\n');
        return parts.slice(0, count);
      }
      if (this.#child.exitCode !== null) throw new Error(`it has ended: ${this.#stderr}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Closes the reading end of its output, as `head` does. */
  stopReading(): void {
    this.#child.stdout?.destroy();
  }

  /** Sends a signal and waits for the end, or waits for it to end by itself. */
  async end(signal: NodeJS.Signals | null): Promise<{ code: number | null; stderr: string }> {
    if (signal !== null) this.#child.kill(signal);
    const code = await this.#exited;
    return { code, stderr: this.#stderr };
  }
}

/** Polls until `look` gives something else than null. @throws Error after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | null> | T | null,
): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
