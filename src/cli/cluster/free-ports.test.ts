import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { findFreePorts, isPortFree } from './free-ports.ts';

test('no port is given twice, also when nobody listens on it any more', async () => {
  const ports = [...(await findFreePorts(120)), ...(await findFreePorts(20))];
  expect(new Set(ports).size).toBe(140);
  for (const port of ports) expect(await isPortFree(port)).toBe(true);
});

test('a block of ports belongs to who listens on the first of them', async () => {
  const [port = 0] = await findFreePorts(1);
  const first = port - ((port - 15_000) % 50);
  expect(await isPortFree(first)).toBe(false);
});

test('a port on which somebody listens is not free', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  expect(await isPortFree(port)).toBe(false);
  await new Promise((resolve) => server.close(resolve));
  expect(await isPortFree(port)).toBe(true);
});
