import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePorts, isPortFree, type MemberPorts } from './cluster/index.ts';
import { CliError, EXIT, reasonOf, usageError } from './exit.ts';

/** Where etcd's Procfile puts the members of a local cluster; ten thousand ports apart. */
const FIRST_CLIENT_PORT = 2_379;
const MEMBER_STRIDE = 10_000;
/** The second member's port is two strides from the first: 2379, 22379, 32379, … */
const DEFAULT_MEMBERS_MAX = 5;
export const LOCAL_MEMBERS_MAX = 9;

/** What was asked for; null: not said. */
export interface LocalRequest {
  readonly directory: string;
  readonly members: number | null;
  /** 0 picks free ports. */
  readonly basePort: number | null;
}

/** Members and ports of a local cluster: what its members' identities derive from. */
export interface LocalState {
  readonly ports: readonly MemberPorts[];
}

const FILE = 'local.json';

/**
 * Ports of the cluster in this directory: those it was made with, or new ones for a new cluster.
 * @throws CliError when the flags ask for another cluster than the one that is there, or a port is
 *   taken.
 */
export async function prepareLocal(request: LocalRequest): Promise<LocalState> {
  const path = join(request.directory, FILE);
  const known = existsSync(path) ? readState(path) : null;
  if (known !== null) checkSame(known, request);
  const ports = known?.ports ?? (await choosePorts(request));
  for (const port of ports.flatMap(({ client, peer }) => [client, peer])) {
    if (await isPortFree(port)) continue;
    const needed = known === null ? '' : `, and the cluster in ${request.directory} needs it`;
    const choice = known === null ? '--base-port' : 'another --data-dir';
    const line = `port ${port} is in use${needed}: stop the process that listens there, or choose`;
    throw new CliError(EXIT.failed, `${line} ${choice}`);
  }
  if (known === null) writeState(request.directory, { ports });
  return { ports };
}

async function choosePorts({ members, basePort }: LocalRequest): Promise<MemberPorts[]> {
  const count = members ?? 3;
  const places = Array.from({ length: count }, (_, at) => at);
  if (basePort === 0) {
    const free = await findFreePorts(2 * count);
    return places.map((at) => pair(free[2 * at], free[2 * at + 1]));
  }
  if (basePort !== null) {
    if (basePort + 2 * count - 1 > 65_535) {
      throw usageError(
        `--base-port: ${count} members need ${2 * count} ports from ${basePort} on, up to 65535`,
      );
    }
    return places.map((at) => pair(basePort + 2 * at, basePort + 2 * at + 1));
  }
  if (count > DEFAULT_MEMBERS_MAX) {
    throw usageError(
      `--members: more than ${DEFAULT_MEMBERS_MAX} need --base-port N (0 picks free ports)`,
    );
  }
  return places.map((at) => {
    const client = FIRST_CLIENT_PORT + (at === 0 ? 0 : (at + 1) * MEMBER_STRIDE);
    return pair(client, client + 1);
  });
}

function checkSame({ ports }: LocalState, request: LocalRequest): void {
  const { directory, members, basePort } = request;
  if (members !== null && members !== ports.length) {
    throw usageError(
      `--members: ${directory} holds a cluster of ${ports.length}: leave the flag out, ` +
        'or name another --data-dir',
    );
  }
  if (basePort !== null && basePort !== 0 && basePort !== ports[0]?.client) {
    throw usageError(
      `--base-port: ${directory} holds a cluster on port ${ports[0]?.client}: ` +
        'leave the flag out, or name another --data-dir',
    );
  }
}

function readState(path: string): LocalState {
  try {
    const { ports } = JSON.parse(readFileSync(path, 'utf8')) as { ports?: unknown };
    if (!Array.isArray(ports) || !ports.every(isPair)) throw new Error('it holds no list of ports');
    return { ports };
  } catch (error) {
    throw new CliError(
      EXIT.failed,
      `${path} cannot be used (${reasonOf(error)}): name another --data-dir`,
    );
  }
}

function writeState(directory: string, state: LocalState): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(join(directory, FILE), `${JSON.stringify(state)}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    throw new CliError(
      EXIT.failed,
      `--data-dir: ${reasonOf(error)}: name a directory that can be written`,
    );
  }
}

function isPair(value: unknown): value is MemberPorts {
  const { client, peer } = (value ?? {}) as Partial<MemberPorts>;
  return Number.isInteger(client) && Number.isInteger(peer);
}

function pair(client: number | undefined, peer: number | undefined): MemberPorts {
  if (client === undefined || peer === undefined) throw new Error('a member needs two ports');
  return { client, peer };
}
