import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { promisify } from 'node:util';

const DOCUMENT = new URL('../../docs/SESSIONS.md', import.meta.url);
const CLIENT = new URL('go-client/main.go', import.meta.url);
/** Where Debian puts the sources of its Go packages. */
const DEBIAN_GOPATH = '/usr/share/gocode';

/** The Go code of docs/SESSIONS.md and a client that has it, compiled. */
export class GoClient {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** @throws Error with what the compiler said. */
  static async build(): Promise<GoClient> {
    const directory = mkdtempSync(join(tmpdir(), 'quorate-go-'));
    try {
      for (const name of ['exactlyonce', 'client']) {
        mkdirSync(join(directory, 'src', name), { recursive: true });
      }
      writeFileSync(join(directory, 'src/exactlyonce/exactlyonce.go'), documentedCode());
      copyFileSync(CLIENT, join(directory, 'src/client/main.go'));
      const env = {
        ...process.env,
        GO111MODULE: 'off',
        GOFLAGS: '',
        GOPATH: `${directory}:${DEBIAN_GOPATH}`,
        GOCACHE: join(directory, 'cache'),
      };
      const go = (...args: string[]) => promisify(execFile)('go', args, { env, cwd: directory });
      await go('vet', 'exactlyonce', 'client');
      await go('build', '-o', 'client', 'client');
      return new GoClient(directory);
    } catch (error) {
      rmSync(directory, { recursive: true });
      throw error;
    }
  }

  /** @param session null: the client as etcd's own. */
  start(endpoints: readonly string[], session: string | null): GoWriters {
    const flags = ['-endpoints', endpoints.join(','), '-session', session ?? ''];
    const child = spawn(join(this.#directory, 'client'), flags, {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return new GoWriters(child);
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }
}

/** A running client. */
export class GoWriters {
  readonly #process: ChildProcess;
  readonly #lines: Interface;

  constructor(child: ChildProcess) {
    this.#process = child;
    if (child.stdout === null) throw new Error('the client was started without a pipe');
    this.#lines = createInterface({ input: child.stdout });
  }

  /**
   * So many writers put 0, 1, 2 … under `PREFIX<writer>`, one after the other; resolves with what
   * became of each write: `ok`, or `error: …`.
   * @param onEnded is told how many have ended.
   */
  async round(
    prefix: string,
    { writers = 1, writes = 1 }: { readonly writers?: number; readonly writes?: number } = {},
    onEnded: (count: number) => void = () => {},
  ): Promise<string[]> {
    const ends: string[] = [];
    const done = new Promise<void>((resolve, reject) => {
      const gone = () => reject(new Error(`the client ended early, after ${ends.length} writes`));
      this.#process.once('exit', gone);
      const hear = (line: string): void => {
        if (line !== 'done') return onEnded(ends.push(line));
        this.#lines.off('line', hear);
        this.#process.off('exit', gone);
        resolve();
      };
      this.#lines.on('line', hear);
    });
    this.#process.stdin?.write(`${prefix} ${writers} ${writes}\n`);
    await done;
    return ends;
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

/** As it stands in the document, with the name that the client of etcd 3.4 has for its messages. */
function documentedCode(): string {
  const [, code] = /^```go\n(.*?)^```$/ms.exec(readFileSync(DOCUMENT, 'utf8')) ?? [];
  if (code === undefined) throw new Error(`no Go code in ${DOCUMENT.pathname}`);
  const [later, earlier] = [
    'go.etcd.io/etcd/api/v3/etcdserverpb',
    'go.etcd.io/etcd/etcdserver/etcdserverpb',
  ];
  if (!code.includes(later)) throw new Error(`${DOCUMENT.pathname} does not import ${later}`);
  return code.replace(later, earlier);
}
