import { readFileSync } from 'node:fs';
import { type AddressInfo, connect as connectPlain } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { deferred } from '../lib/index.ts';
import { RecordingLog } from '../transport/testing/index.ts';
import { systemClock } from './clock.ts';
import { silentLog } from './log.ts';
import { Authority } from './testing/authority.ts';
import { openTlsMaterial } from './tls-material.ts';
import { tlsNetwork } from './tls-network.ts';
import { ALL_NAMES, type ShownCertificate } from './tls-rules.ts';
import { createTlsServer, type TlsServerOptions } from './tls-server.ts';

const authority = new Authority();
afterAll(() => authority.remove());

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

interface Caller {
  readonly socket: TLSSocket;
  readonly shown: ShownCertificate | null;
}

/** A server as clients meet it; `caller` is the first that comes in. */
async function open(options: Partial<TlsServerOptions> = {}) {
  const log = new RecordingLog();
  const files = authority.files(authority.issue());
  const material = await openTlsMaterial({ files, clock: systemClock, log });
  log.lines.length = 0;
  const caller = deferred<Caller>();
  const rules = { askCertificate: false, allowed: ALL_NAMES, protocols: [] };
  const server = createTlsServer(
    { material, ...rules, clock: systemClock, log, ...options },
    (socket, shown) => caller.resolve({ socket, shown }),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => material.close());
  cleanups.push(() => server.close());
  const { port } = server.address() as AddressInfo;
  const call = (more: object = {}) => {
    const ca = readFileSync(authority.caFile);
    const socket = connect({ host: '127.0.0.1', port, ca, ...more });
    cleanups.push(() => socket.destroy());
    return socket;
  };
  return { caller: caller.promise, call, port, log };
}

test('a caller without a certificate comes in where none is asked for', async () => {
  const { caller, call, log } = await open();
  const near = call();
  const { socket, shown } = await caller;
  expect(shown).toBe(null);
  near.write('hello');
  expect(await new Promise((resolve) => socket.once('data', resolve))).toEqual(
    Buffer.from('hello'),
  );
  expect(log.troubles).toEqual([]);
});

test('a certificate that is not asked for is not believed', async () => {
  const { caller, call } = await open();
  const { certFile, keyFile } = authority.issue({ commonName: 'root' });
  call({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
  expect((await caller).shown).toBe(null);
});

test('a certificate that is asked for comes with its common name', async () => {
  const { caller, call } = await open({ askCertificate: true });
  const { certFile, keyFile } = authority.issue({ commonName: 'alice' });
  call({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
  expect((await caller).shown?.commonName).toBe('alice');
});

test('certificates are not asked for where only public authorities are known', async () => {
  const files = authority.files(authority.issue(), { trustedCaFile: null });
  const material = await openTlsMaterial({ files, clock: systemClock, log: silentLog });
  cleanups.push(() => material.close());
  await expect(open({ material, askCertificate: true })).rejects.toThrow('without a trusted CA');
  const mutual = () => tlsNetwork({ material, clock: systemClock, log: silentLog });
  expect(mutual).toThrow('without a trusted CA');
});

describe('what is spoken inside is negotiated:', () => {
  const protocols = ['h2', 'http/1.1'];
  test.each([
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1'], 'http/1.1'],
    [['http/1.1', 'h2'], 'h2'],
    [[], false],
  ])('offered %o, chosen %s', async (offered, chosen) => {
    const { caller, call } = await open({ protocols });
    call(offered.length > 0 ? { ALPNProtocols: offered } : {});
    expect((await caller).socket.alpnProtocol).toBe(chosen);
  });

  test('who offers nothing that is spoken here is refused', async () => {
    const { call, log } = await open({ protocols });
    const near = call({ ALPNProtocols: ['spdy/1'] });
    const error = await new Promise((resolve) => near.once('error', resolve));
    expect(error).toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL' });
    expect(log.troubles).toEqual(['TLS: caller refused']);
  });
});

test('a reset by the caller ends its connection, and nothing is thrown', async () => {
  const { caller, port } = await open();
  const plain = connectPlain(port, '127.0.0.1');
  const ca = readFileSync(authority.caFile);
  const near = connect({ socket: plain, servername: 'localhost', ca });
  near.on('error', () => near.destroy());
  const { socket } = await caller;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  plain.resetAndDestroy();
  await closed;
});
