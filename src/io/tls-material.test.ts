import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { FakeClock, RecordingLog } from '../transport/testing/index.ts';
import { Authority, type Issued } from './testing/authority.ts';
import { TlsError, type TlsFiles } from './tls-credentials.ts';
import { TLS_LIMITS } from './tls-limits.ts';
import { openTlsMaterial, type TlsMaterial } from './tls-material.ts';

const authority = new Authority();
const other = new Authority('another authority');
afterAll(() => {
  authority.remove();
  other.remove();
});

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

const DAY_MS = 24 * 3_600_000;

/** Certificates here are valid for the year 2000; the clock says when in it we are. */
class CalendarClock extends FakeClock {
  readonly #startMs: number;

  constructor(start: string) {
    super();
    this.#startMs = Date.parse(start);
  }

  override wallMs(): number {
    return this.#startMs + this.nowMs();
  }
}

const THE_YEAR_2000 = { validFrom: new Date('2000-01-01'), validTo: new Date('2001-01-01') };

/** The files have been looked at, and will be again. */
function rearmed(clock: FakeClock): Promise<void> {
  return vi.waitFor(() => expect(clock.timers).toBe(1), { timeout: 10_000, interval: 1 });
}

interface Opened {
  readonly material: TlsMaterial;
  readonly log: RecordingLog;
  readonly clock: CalendarClock;
  /** Lets the files be looked at once, and waits until that is done. */
  poll(): Promise<void>;
}

async function open(files: TlsFiles, start = '2000-03-01'): Promise<Opened> {
  const clock = new CalendarClock(start);
  const log = new RecordingLog();
  const material = await openTlsMaterial({ files, clock, log });
  cleanups.push(() => material.close());
  const poll = async () => {
    clock.advance(TLS_LIMITS.reloadIntervalMs);
    await rearmed(clock);
  };
  return { material, log, clock, poll };
}

const issue = (): Issued => authority.issue(THE_YEAR_2000);

describe('files that changed', () => {
  test('are in force within 10 s, and whoever listens is told', async () => {
    const current = issue();
    const { material, log, poll } = await open(authority.files(current));
    const before = material.current;
    let told = 0;
    const forget = material.onChange(() => told++);
    await poll();
    expect([told, material.current === before]).toEqual([0, true]);
    authority.replace(current, issue());
    await poll();
    expect([told, material.current === before]).toEqual([1, false]);
    expect(log.lines.map(({ message }) => message)).toEqual(['new certificates are in force']);
    forget();
    authority.replace(current, issue());
    await poll();
    expect(told).toBe(1);
  });

  test.each<[string, (files: TlsFiles) => void]>([
    ['a key of another certificate', ({ keyFile }) => writeFileSync(keyFile, key(issue()))],
    ['no certificate', ({ certFile }) => writeFileSync(certFile, 'nothing')],
    ['a missing file', ({ keyFile }) => rmSync(keyFile)],
    ['half a certificate', ({ certFile }) => writeFileSync(certFile, text(certFile).slice(0, 200))],
  ])('to %s change nothing, are warned of once a minute, and heal', async (_name, spoil) => {
    const current = issue();
    const files = authority.files(current);
    const good = { cert: text(current.certFile), key: key(current) };
    const { material, log, poll } = await open(files);
    const before = material.current;
    spoil(files);
    for (let i = 0; i < 7; i++) await poll();
    expect(material.current).toBe(before);
    expect(log.troubles).toEqual(Array(2).fill('certificates on disk cannot be used'));
    writeFileSync(current.certFile, good.cert);
    writeFileSync(current.keyFile, good.key);
    await poll();
    expect(material.current).toBe(before);
    authority.replace(current, issue());
    await poll();
    expect(material.current).not.toBe(before);
  });

  test('are not looked at after close', async () => {
    const current = issue();
    const { material, clock } = await open(authority.files(current));
    const before = material.current;
    material.close();
    material.close();
    expect(clock.timers).toBe(0);
    authority.replace(current, issue());
    expect(await material.reload()).toBe(false);
    expect(material.current).toBe(before);
  });
});

describe('files that cannot be used from the start are refused by name:', () => {
  const broken = (name: string, content: string | Buffer): string => {
    const file = join(authority.directory, name);
    writeFileSync(file, content);
    return file;
  };
  const large = 'x'.repeat(TLS_LIMITS.fileBytesMax + 1);
  test.each<[string, () => Partial<TlsFiles>, string]>([
    ['missing', () => ({ certFile: '/nowhere/a.crt' }), '/nowhere/a.crt: cannot be used: ENOENT'],
    ['a directory', () => ({ keyFile: authority.directory }), 'EISDIR'],
    ['no certificate', () => ({ certFile: broken('a', 'a') }), 'a: cannot be used'],
    ['no key', () => ({ keyFile: broken('b', 'b') }), 'b: cannot be used'],
    ['no authority', () => ({ trustedCaFile: broken('c', 'c') }), 'c: holds no certificate'],
    ['no revocation list', () => ({ crlFile: broken('d', 'd') }), 'd: cannot be used'],
    ['too large', () => ({ trustedCaFile: broken('e', large) }), 'e: larger than 1048576'],
    ['another key', () => ({ keyFile: issue().keyFile }), 'is not the key of the certificate in'],
    ['another client key', () => ({ clientKeyFile: issue().keyFile }), 'is not the key'],
    [
      'a certificate of an authority and a broken one',
      () => {
        const block = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
        return { trustedCaFile: broken('f', text(authority.caFile) + block) };
      },
      'f: cannot be used',
    ],
  ])('%s', async (_name, changes, message) => {
    const opening = open(authority.files(issue(), changes()));
    await expect(opening).rejects.toThrow(TlsError);
    await expect(opening).rejects.toThrow(message);
  });
});

describe('the end of a certificate', () => {
  const warnings = ({ lines }: RecordingLog) =>
    lines.filter(({ message }) => message.startsWith('certificate ')).map((line) => line.message);

  test('is warned of from 30 days before, once a day; afterwards it is an error', async () => {
    const { log, clock, poll } = await open(authority.files(issue()), '2000-12-01');
    expect(log.lines).toEqual([]);
    clock.advance(DAY_MS - TLS_LIMITS.reloadIntervalMs);
    await rearmed(clock);
    await poll();
    await poll();
    expect(warnings(log)).toEqual(['certificate expires soon']);
    for (let day = 0; day < 2; day++) {
      clock.advance(DAY_MS);
      await rearmed(clock);
    }
    expect(warnings(log).length).toBe(3);
    const expires = '2001-01-01T00:00:00.000Z';
    expect(log.lines.at(-1)).toMatchObject({ level: 'warn', fields: { expires } });
    clock.advance(30 * DAY_MS);
    await rearmed(clock);
    expect(log.lines.at(-1)).toMatchObject({ level: 'error', message: 'certificate has expired' });
  });

  test('is that of the first to end in any file', async () => {
    const lasting = authority.issue({ ...THE_YEAR_2000, validTo: new Date('2005-01-01') });
    const ending = issue();
    const bundle = join(authority.directory, 'bundle.crt');
    writeFileSync(bundle, text(lasting.certFile) + text(ending.certFile));
    const client = { clientCertFile: ending.certFile, clientKeyFile: ending.keyFile };
    const endings = [
      await open(authority.files(lasting)),
      await open(authority.files(lasting, client)),
      await open(authority.files({ ...lasting, certFile: bundle })),
    ].map(({ material }) => material.current.firstEnd);
    expect(endings.map(({ file }) => file)).toEqual([lasting.certFile, ending.certFile, bundle]);
    const years = endings.map(({ expiresMs }) => new Date(expiresMs).getUTCFullYear());
    expect(years).toEqual([2005, 2001, 2001]);
  });

  test('is forgotten when a newer certificate is in force', async () => {
    const current = issue();
    const { log, poll } = await open(authority.files(current), '2000-12-20');
    expect(warnings(log).length).toBe(1);
    const newer = authority.issue({ ...THE_YEAR_2000, validTo: new Date('2005-01-01') });
    authority.replace(current, newer);
    await poll();
    await poll();
    expect(warnings(log).length).toBe(1);
  });
});

function text(file: string): string {
  return readFileSync(file, 'latin1');
}

function key({ keyFile }: Issued): string {
  return text(keyFile);
}
