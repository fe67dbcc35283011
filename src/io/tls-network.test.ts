import { connect as connectPlain, createServer, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { deferred } from '../lib/index.ts';
import { RecordingLog } from '../transport/testing/index.ts';
import { systemClock } from './clock.ts';
import type { Connection, Listener, Network } from './network.ts';
import { Authority, type Issued } from './testing/authority.ts';
import { connectPair, LOCAL, networkSuite, watch } from './testing/network-suite.ts';
import type { TlsFiles } from './tls-credentials.ts';
import { openTlsMaterial, type TlsMaterial } from './tls-material.ts';
import { type TlsNetworkOptions, tlsNetwork } from './tls-network.ts';

const authority = new Authority();
const stranger = new Authority('another authority');
const member = authority.issue();
afterAll(() => {
  authority.remove();
  stranger.remove();
});

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** One member's network, with what it logs. */
interface Side {
  readonly network: Network;
  readonly material: TlsMaterial;
  readonly log: RecordingLog;
}

async function side(
  files: TlsFiles = authority.files(member),
  options: Partial<TlsNetworkOptions> = {},
): Promise<Side> {
  const log = new RecordingLog();
  const material = await openTlsMaterial({ files, clock: systemClock, log });
  cleanups.push(() => material.close());
  const network = tlsNetwork({ material, clock: systemClock, log, ...options });
  // That the certificates are made for two days only is no news.
  log.lines.length = 0;
  return { network, material, log };
}

const shared = await side();
cleanups.length = 0;
afterAll(() => shared.material.close());
networkSuite('mutual TLS', () => shared.network);

/** Reasons for which callers were refused. */
function refusals({ log }: Side): unknown[] {
  const lines = log.lines.filter(({ message }) => message === 'TLS: caller refused');
  return lines.map(({ fields }) => fields['reason']);
}

/** Waits for what must become true. */
function until(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 10_000, interval: 5 });
}

/** A listener that keeps what it accepted. */
async function listening(network: Network): Promise<{ listener: Listener; taken: Connection[] }> {
  const taken: Connection[] = [];
  const listener = await network.listen(LOCAL, (connection) => {
    taken.push(connection);
    connection.start({ onData: () => {}, onClose: () => {} });
  });
  cleanups.push(() => listener.close());
  cleanups.push(() => {
    for (const connection of taken) connection.destroy();
  });
  return { listener, taken };
}

/** Dials and waits for the end, which must come. */
async function refused(caller: Side, { address }: Listener): Promise<Error | null> {
  return watch(caller.network.connect(address)).closed;
}

test('what travels cannot be read on the way', async () => {
  const { network } = await side();
  const accepted = deferred<Connection>();
  const listener = await network.listen(LOCAL, accepted.resolve);
  cleanups.push(() => listener.close());
  const seen: Buffer[] = [];
  const tap = createServer((near) => {
    const far = connectPlain(listener.address.port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.on('data', (bytes) => {
        seen.push(bytes);
        to.write(bytes);
      });
    }
  });
  await new Promise<void>((resolve) => tap.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => tap.close());
  const bound = tap.address();
  if (bound === null || typeof bound === 'string') throw new Error('no port');
  const near = watch(network.connect({ host: '127.0.0.1', port: bound.port }));
  const far = watch(await accepted.promise);
  const secret = Buffer.from('a secret of forty bytes and not one less');
  near.connection.write(new Uint8Array(secret));
  expect(await far.take(secret.length)).toEqual(secret);
  expect(Buffer.concat(seen).length).toBeGreaterThan(secret.length);
  expect(Buffer.concat(seen).includes(secret.subarray(0, 8))).toBe(false);
  near.connection.destroy();
});

describe('a caller is refused, and the log says why:', () => {
  test.each<[string, () => TlsFiles, RegExp]>([
    [
      'its certificate is of another authority',
      () => stranger.files(stranger.issue(), { trustedCaFile: authority.caFile }),
      /UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|SELF_SIGNED/,
    ],
    [
      'its certificate has expired',
      () =>
        authority.files(
          authority.issue({ validFrom: new Date('2020-01-01'), validTo: new Date('2020-01-02') }),
        ),
      /CERT_HAS_EXPIRED/,
    ],
    [
      'its certificate is not valid yet',
      () =>
        authority.files(
          authority.issue({ validFrom: new Date('2099-01-01'), validTo: new Date('2099-01-02') }),
        ),
      /CERT_NOT_YET_VALID/,
    ],
    [
      'its certificate is for servers only',
      () => authority.files(authority.issue({ usage: 'serverAuth' })),
      /INVALID_PURPOSE/,
    ],
    [
      'it has signed its certificate itself',
      () => authority.files(authority.selfSigned()),
      /SELF_SIGNED/,
    ],
  ])('%s', async (_name, files, reason) => {
    const server = await side();
    const { listener, taken } = await listening(server.network);
    const caller = await side(files());
    await refused(caller, listener);
    await until(() => expect(refusals(server)).toEqual([expect.stringMatching(reason)]));
    expect(taken).toEqual([]);
  });

  test('it shows no certificate', async () => {
    const server = await side();
    const { listener, taken } = await listening(server.network);
    const { port } = listener.address;
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => socket.destroy());
    await closed;
    expect(refusals(server)).toEqual(['no certificate was shown']);
    expect(taken).toEqual([]);
  });

  test('it does not speak TLS', async () => {
    const server = await side();
    const { listener, taken } = await listening(server.network);
    const socket = connectPlain(listener.address.port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await closed;
    expect(refusals(server)).toEqual(['http request']);
    expect(taken).toEqual([]);
  });

  test('it does not speak TLS 1.2', async () => {
    const server = await side();
    const { listener } = await listening(server.network);
    const { port } = listener.address;
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' } as const;
    const ciphers = 'DEFAULT@SECLEVEL=0';
    const socket = connectTls({ host: '127.0.0.1', port, ...old, ciphers });
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => socket.destroy());
    await closed;
    await until(() => expect(refusals(server)).toEqual(['unsupported protocol']));
  });
});

describe('a caller says why it does not trust the listener:', () => {
  test.each<[string, () => Issued, RegExp]>([
    ['another host', () => authority.issue({ names: ['127.0.0.2', 'b'] }), /does not cover/],
    ['no names', () => authority.issue({ commonName: '127.0.0.1', names: [] }), /does not cover/],
    ['for clients only', () => authority.issue({ usage: 'clientAuth' }), /purpose/],
    [
      'expired',
      () => authority.issue({ validFrom: new Date('2020-01-01'), validTo: new Date('2020-01-02') }),
      /expired/,
    ],
  ])('%s', async (_name, issue, reason) => {
    const server = await side(authority.files(issue()));
    const { listener } = await listening(server.network);
    const caller = await side();
    expect((await refused(caller, listener))?.message).toMatch(reason);
  });

  test('another authority', async () => {
    const other = stranger.files(stranger.issue(), { trustedCaFile: authority.caFile });
    const { listener } = await listening((await side(other)).network);
    const error = await refused(await side(), listener);
    expect(error).toMatchObject({ code: expect.stringMatching(/UNABLE|SELF_SIGNED/) });
  });
});

test.each([
  ['localhost', { commonName: 'm', names: ['localhost'] }],
  ['127.0.0.1', { commonName: 'm', names: ['127.0.0.1'] }],
])('a listener at %s is trusted by its alternative name', async (host, wanted) => {
  const server = await side(authority.files(authority.issue(wanted)));
  const listener = await server.network.listen({ host, port: 0 }, (connection) => {
    connection.start({ onData: () => {}, onClose: () => {} });
  });
  cleanups.push(() => listener.close());
  const near = watch((await side()).network.connect(listener.address));
  await near.opened;
  expect(near.connection.provesHost(host)).toBe(true);
  expect(near.connection.provesHost('other')).toBe(false);
  near.connection.destroy();
});

test('an accepted connection proves the hosts of its certificate and no others', async () => {
  const names = ['a.example', '*.b.example', '10.0.0.7', 'fd00::7'];
  const caller = await side(authority.files(authority.issue({ commonName: 'c', names })));
  const { near, far, listener } = await connectPair((await side()).network, caller.network);
  cleanups.push(() => listener.close());
  const { connection } = far;
  const proved = ['a.example', 'A.EXAMPLE', 'x.b.example', '10.0.0.7', 'fd00::7'];
  expect(proved.map((host) => connection.provesHost(host))).toEqual(Array(5).fill(true));
  const others = ['b.example', 'x.y.b.example', 'c', '10.0.0.8', 'a.example.evil', '127.0.0.1'];
  expect(others.map((host) => connection.provesHost(host))).toEqual(Array(6).fill(false));
  near.connection.destroy();
});

test('a common name proves nothing, even where there is no other name', async () => {
  const caller = await side(authority.files(authority.issue({ commonName: 'solo', names: [] })));
  const { near, far, listener } = await connectPair((await side()).network, caller.network);
  cleanups.push(() => listener.close());
  expect(far.connection.provesHost('solo')).toBe(false);
  near.connection.destroy();
});

test('where hosts need no proof, an accepted connection proves every host', async () => {
  const server = await side(undefined, { proveHosts: false });
  const { near, far, listener } = await connectPair(server.network);
  cleanups.push(() => listener.close());
  expect(far.connection.provesHost('anything')).toBe(true);
  near.connection.destroy();
});

describe('allowed names', () => {
  const listed = authority.issue({ commonName: 'listed', names: ['host', '127.0.0.1'] });
  const other = authority.issue({ commonName: 'other', names: ['127.0.0.1'] });
  test.each([
    ['common name', { commonNames: ['listed'], hostnames: [] }],
    ['hostname', { commonNames: [], hostnames: ['host'] }],
  ])('by %s: the others are refused on either side', async (_kind, allowed) => {
    const server = await side(authority.files(listed), { allowed });
    const { near, listener } = await connectPair(server.network);
    cleanups.push(() => listener.close());
    near.connection.destroy();
    const caller = await side(authority.files(other));
    await refused(caller, listener);
    const reason = "certificate of 'other' is not among those allowed";
    await until(() => expect(refusals(server)).toEqual([reason]));
    const unlisted = await listening(caller.network);
    expect((await refused(server, unlisted.listener))?.message).toBe(reason);
  });

  test('a certificate without a subject has no common name', async () => {
    const allowed = { commonNames: [''], hostnames: ['host'] };
    const server = await side(authority.files(listed), { allowed });
    const { listener } = await listening(server.network);
    const nameless = authority.issue({ commonName: '', names: ['other'] });
    await refused(await side(authority.files(nameless)), listener);
    await until(() => {
      expect(refusals(server)).toEqual(["certificate of '' is not among those allowed"]);
    });
  });

  test('a subject with two common names has none', async () => {
    const twice = authority.issue({ commonName: ['other', 'listed'] });
    const allowed = { commonNames: ['listed', 'other'], hostnames: [] };
    const server = await side(undefined, { allowed });
    const { listener } = await listening(server.network);
    await refused(await side(authority.files(twice)), listener);
    await until(() => {
      expect(refusals(server)).toEqual(["certificate of '' is not among those allowed"]);
    });
  });
});

describe('revocation', () => {
  test('a revoked certificate is refused on either side, and what rests on it is cut', async () => {
    const issuing = new Authority();
    cleanups.push(() => issuing.remove());
    const good = issuing.issue();
    const bad = issuing.issue({ commonName: 'stolen' });
    issuing.revoke();
    const crlFile = issuing.crlFile;
    const one = await side(issuing.files(good, { crlFile }));
    const two = await side(issuing.files(bad));
    const inbound = await connectPair(one.network, two.network);
    const outbound = await connectPair(two.network, one.network);
    const kept = await connectPair(one.network);
    for (const { listener } of [inbound, outbound, kept]) cleanups.push(() => listener.close());

    issuing.revoke(bad);
    expect(await one.material.reload()).toBe(true);
    await Promise.all([inbound.near.closed, outbound.near.closed]);
    kept.near.connection.write(Uint8Array.of(1));
    await kept.far.take(1);

    await refused(two, inbound.listener);
    await until(() => expect(refusals(one)).toEqual(['certificate is revoked']));
    const error = await refused(one, outbound.listener);
    expect(error?.message).toBe('certificate is revoked');
    kept.near.connection.destroy();
  });
});

test('new certificates are in force for new connections; open ones stay', async () => {
  const renewing = new Authority();
  cleanups.push(() => renewing.remove());
  const current = renewing.issue({ commonName: 'first' });
  const files = renewing.files(current);
  const server = await side(files);
  const old = await connectPair(server.network);
  cleanups.push(() => old.listener.close());
  const shownBy = async () => {
    const { port } = old.listener.address;
    const socket: TLSSocket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
    socket.on('error', () => socket.destroy());
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const name = socket.getPeerCertificate().subject.CN;
    socket.destroy();
    return name;
  };
  expect(await shownBy()).toBe('first');
  renewing.replace(current, renewing.issue({ commonName: 'second' }));
  expect(await server.material.reload()).toBe(true);
  expect(await shownBy()).toBe('second');
  old.near.connection.write(Uint8Array.of(1));
  await old.far.take(1);
  const again = watch(server.network.connect(old.listener.address));
  await again.opened;
  again.connection.destroy();
  old.near.connection.destroy();
});

test('what is shown when dialling may be another certificate', async () => {
  const server = await side();
  const dialling = authority.issue({ commonName: 'dials', usage: 'clientAuth' });
  const own = { clientCertFile: dialling.certFile, clientKeyFile: dialling.keyFile };
  const serving = authority.issue({ usage: 'serverAuth' });
  const caller = await side(authority.files(serving, own));
  const { near, listener } = await connectPair(server.network, caller.network);
  cleanups.push(() => listener.close());
  near.connection.destroy();
});

test('no session is resumed: each connection shows its certificate', async () => {
  const server = await side();
  const { listener, taken } = await listening(server.network);
  const { port } = listener.address;
  const { client } = server.material.current;
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const sessions: Buffer[] = [];
    const dial = async (session?: Buffer) => {
      const resumed = session === undefined ? {} : { session };
      const files = { secureContext: client, maxVersion: version, ...resumed };
      const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ...files });
      socket.on('session', (ticket) => sessions.push(ticket));
      const accepted = taken.length + 1;
      await new Promise((resolve) => socket.once('secureConnect', resolve));
      await until(() => expect(taken.length).toBe(accepted));
      const reused = socket.isSessionReused();
      const held = socket.getSession();
      socket.destroy();
      return { reused, held };
    };
    const first = await dial();
    const tickets = [...sessions, ...(first.held === undefined ? [] : [first.held])];
    for (const ticket of tickets) expect((await dial(ticket)).reused).toBe(false);
  }
});

describe('a handshake that does not come to its end', () => {
  const idle = async (port: number) => {
    const socket = connectPlain(port, '127.0.0.1');
    socket.on('error', () => socket.destroy());
    await new Promise((resolve) => socket.once('connect', resolve));
    cleanups.push(() => socket.destroy());
    return socket;
  };

  test('is cut off after its time', async () => {
    const server = await side(undefined, { limits: { handshakeTimeoutMs: 50 } });
    const { listener } = await listening(server.network);
    const socket = await idle(listener.address.port);
    await new Promise((resolve) => socket.once('close', resolve));
    expect(refusals(server)).toEqual(['TLS handshake took too long']);
  });

  test('makes room for others when there are too many', async () => {
    const server = await side(undefined, { limits: { handshakesMax: 2 } });
    const { listener } = await listening(server.network);
    const closed = deferred<void>();
    const oldest: Socket = await idle(listener.address.port);
    oldest.once('close', () => closed.resolve());
    await idle(listener.address.port);
    expect(refusals(server)).toEqual([]);
    await idle(listener.address.port);
    await closed.promise;
    expect(refusals(server)).toEqual(['too many connections wait for a TLS handshake']);
  });

  test('does not include those that did: they make room for nobody', async () => {
    const server = await side(undefined, { limits: { handshakesMax: 2 } });
    const { near, far, listener } = await connectPair(server.network);
    cleanups.push(() => listener.close());
    for (let i = 0; i < 3; i++) {
      const more = watch(server.network.connect(listener.address));
      await more.opened;
      cleanups.push(() => more.connection.destroy());
    }
    near.connection.write(Uint8Array.of(1));
    await far.take(1);
    near.connection.destroy();
    expect(server.log.troubles).toEqual([]);
  });

  test('because the caller leaves is no trouble', async () => {
    const server = await side();
    const { listener } = await listening(server.network);
    const socket = await idle(listener.address.port);
    socket.destroy();
    const near = watch(server.network.connect(listener.address));
    await near.opened;
    near.connection.destroy();
    expect(server.log.troubles).toEqual([]);
  });
});
