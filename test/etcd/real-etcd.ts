import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A real etcd of one member, with data of its own. */
export class RealEtcd {
  /** `host:port` of its clients. */
  readonly address: string;
  readonly urls: { readonly client: string; readonly peer: string };
  readonly #process: ChildProcess;
  readonly #directory: string;

  private constructor(
    urls: { readonly client: string; readonly peer: string },
    process: ChildProcess,
    directory: string,
  ) {
    this.urls = urls;
    this.address = new URL(urls.client).host;
    this.#process = process;
    this.#directory = directory;
  }

  /** Starts `etcd` from the PATH; resolves when it serves. The directory is removed in the end. */
  static async start(given: string | null = null): Promise<RealEtcd> {
    const directory = given ?? (await mkdtemp(join(tmpdir(), 'real-etcd-')));
    const [client, peer] = [await freePort(), await freePort()];
    const urls = { client: `http://127.0.0.1:${client}`, peer: `http://127.0.0.1:${peer}` };
    const flags = {
      'data-dir': directory,
      'listen-client-urls': urls.client,
      'advertise-client-urls': urls.client,
      'listen-peer-urls': urls.peer,
      'initial-advertise-peer-urls': urls.peer,
      'initial-cluster': `default=${urls.peer}`,
      'log-level': 'error',
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    const process = spawn('etcd', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    await once(process, 'spawn');
    for (;;) {
      if (process.exitCode !== null) throw new Error(`etcd ended with code ${process.exitCode}`);
      if (await isHealthy(urls.client)) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return new RealEtcd(urls, process, directory);
  }

  async stop(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await exited;
    await rm(this.#directory, { recursive: true });
  }
}

/** False also while nobody listens there. */
async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
