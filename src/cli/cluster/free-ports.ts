import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Where free ports are looked for. Below the range from which operating systems number outgoing
 * connections (Linux: 32768 on), so that none of those takes a member's port while it is down.
 */
const RANGE = { from: 15_000, to: 32_000 } as const;

/** Picks `count` different ports of the loopback interface that nobody listens on right now. */
export async function findFreePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let attempts = 0; ports.size < count; attempts++) {
    if (attempts > 100 * count)
      throw new Error(`no ${count} free ports from ${RANGE.from} to ${RANGE.to}`);
    const port = randomInt(RANGE.from, RANGE.to);
    if (!ports.has(port) && (await isPortFree(port))) ports.add(port);
  }
  return [...ports];
}

/** Whether a listener could have this port of the loopback interface now. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}
