import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A slow machine is not what is tested. */
const PATIENCE = ['--command-timeout=30s', '--dial-timeout=10s'];

/** How a command of etcdctl ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `etcdctl` from the PATH, pointed at a cluster. */
export class Etcdctl {
  /** What each command said, without what differs from cluster to cluster: see `plain`. */
  readonly said: string[];
  /** `host:port` of the members' client ports. */
  readonly endpoints: readonly string[];
  readonly #flags: readonly string[];

  /** @param flags e.g. those for certificates */
  constructor(endpoints: readonly string[], flags: readonly string[] = [], said: string[] = []) {
    this.endpoints = endpoints;
    this.#flags = flags;
    this.said = said;
  }

  /** The same for each member alone. */
  each(): readonly Etcdctl[] {
    return this.endpoints.map((endpoint) => new Etcdctl([endpoint], this.#flags, this.said));
  }

  /** The same for one member only. */
  first(): Etcdctl {
    return new Etcdctl(this.endpoints.slice(0, 1), this.#flags, this.said);
  }

  /** Runs a command to its end. */
  async run(args: readonly string[], input = ''): Promise<Ended> {
    const running = this.start(args);
    const { stdin } = running.process;
    // It may have ended before: what it says of that is what counts.
    stdin?.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
    stdin?.end(input);
    return await running.ended;
  }

  /** The same, and keeps what it said: what is printed, errors, and the code. */
  async say(command: string, ...rest: readonly string[]): Promise<string> {
    return await this.sayFrom('', ...command.split(' '), ...rest);
  }

  /** The same for one that reads its input. */
  async sayFrom(input: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, input);
    const errors = stderr.split('\n').filter((line) => line.startsWith('Error: '));
    this.said.push(plain(`$ ${args.join(' ')}\n${stdout}${errors.join('\n')}(${code})`));
    return stdout;
  }

  /** Starts one that goes on until it is interrupted. */
  start(args: readonly string[]): RunningEtcdctl {
    const endpoints = `--endpoints=${this.endpoints.join(',')}`;
    return new RunningEtcdctl([endpoints, ...PATIENCE, ...this.#flags, ...args]);
  }
}

export class RunningEtcdctl {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = '';
  #stderr = '';
  #onOutput: () => void = () => {};

  constructor(args: readonly string[]) {
    const env = { ...process.env, ETCDCTL_API: '3' };
    this.process = spawn('etcdctl', args, { env });
    this.process.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout += chunk.toString();
      this.#onOutput();
    });
    this.process.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    this.ended = once(this.process, 'close').then(([code]) => {
      this.#onOutput();
      return { code: code as number | null, stdout: this.#stdout, stderr: this.#stderr };
    });
  }

  /** The first lines, as soon as there are so many. @throws Error when it ends before. */
  async lines(count: number): Promise<readonly string[]> {
    for (;;) {
      const lines = this.#stdout.split('\n');
      if (lines.length > count) return lines.slice(0, count);
      if (this.process.exitCode !== null) throw new Error(`it ended: ${this.#stderr}`);
      await new Promise<void>((resolve) => {
        this.#onOutput = resolve;
      });
    }
  }

  /** As a user who presses Ctrl-C. */
  async interrupt(): Promise<Ended> {
    this.process.kill('SIGINT');
    return await this.ended;
  }
}

/** Without what is the cluster's own: ids, places, terms, sizes, times. */
export function plain(text: string): string {
  return text
    .replace(/"(cluster_id|member_id|raft_term|leader|raftIndex|raftTerm)":\d+/g, '"$1":#')
    .replace(/"(ClusterID|MemberID|RaftTerm)" : \d+/g, '"$1" : #')
    .replace(/https?:\/\/127\.0\.0\.1:\d+|127\.0\.0\.1:\d+/g, '<place>')
    .replace(/\b[0-9a-f]{15,16}\b/g, '<id>')
    .replace(/took = \S+/g, 'took = <time>')
    .replace(/remaining\(\d+s\)/g, 'remaining(<time>)')
    .replace(/\b[\d.]+ [kM]?B\b/g, '<size>');
}
