import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/**
 * Where free ports are looked for. Below the range from which operating systems number outgoing
 * connections (Linux: 32768 on), so that none of those takes a member's port while it is down.
 */
const RANGE = { from: 15_000, to: 32_000 } as const;
/**
 * Ports in a row that belong to one process: to the one that listens on the first of them, as long
 * as it lives. So no other one is given a port whose member is down.
 */
const BLOCK_PORTS = 50;
const BLOCKS = (RANGE.to - RANGE.from) / BLOCK_PORTS;

/** What is left of this process's newest block. */
const rest: number[] = [];

/**
 * Picks `count` different ports of the loopback interface that nobody listens on right now, and
 * that no call, of this process or another, picks again while this process lives.
 */
export async function findFreePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = rest.pop();
    if (port === undefined) await takeBlock();
    else if (await isPortFree(port)) ports.push(port);
  }
  return ports;
}

async function takeBlock(): Promise<void> {
  const start = randomInt(BLOCKS);
  for (let i = 0; i < BLOCKS; i++) {
    const first = RANGE.from + ((start + i) % BLOCKS) * BLOCK_PORTS;
    const mark = await listenOn(first);
    if (mark === null) continue;
    mark.unref().on('connection', (socket) => socket.destroy());
    rest.push(...Array.from({ length: BLOCK_PORTS - 1 }, (_, at) => first + 1 + at));
    return;
  }
  throw new Error(`no free ports from ${RANGE.from} to ${RANGE.to}`);
}

/** Whether a listener could have this port of the loopback interface now. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = await listenOn(port);
  if (server !== null) await new Promise((resolve) => server.close(resolve));
  return server !== null;
}

/** Null when the port is taken. */
async function listenOn(port: number): Promise<Server | null> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once('error', () => resolve(null));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => resolve(server));
  });
}
