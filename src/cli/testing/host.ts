import { Readable } from 'node:stream';
import type { Host } from '../host.ts';

/** A host whose output can be looked at. */
export class TestHost implements Host {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly signal: AbortSignal;
  readonly #out: Uint8Array[] = [];
  readonly #errors: string[] = [];

  constructor(
    options: {
      environment?: Record<string, string>;
      stdin?: Uint8Array | string;
      signal?: AbortSignal;
    } = {},
  ) {
    this.environment = options.environment ?? {};
    this.stdin = Readable.from([Buffer.from(options.stdin ?? '')]);
    this.signal = options.signal ?? new AbortController().signal;
  }

  async out(data: string | Uint8Array): Promise<boolean> {
    this.#out.push(Buffer.from(data));
    return true;
  }

  err(line: string): void {
    this.#errors.push(line);
  }

  /** Everything written to standard output, as text. */
  get output(): string {
    return Buffer.concat(this.#out).toString();
  }

  /** Everything written to standard error, line by line. */
  get errors(): readonly string[] {
    return this.#errors;
  }
}
