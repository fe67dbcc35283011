import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ProcessCluster } from './cluster/index.ts';
import { EXIT } from './exit.ts';
import { run } from './program.ts';
import { TestHost } from './testing/host.ts';
import { eventually, quorate, quorateCommand, Running } from './testing/process.ts';

/* Commands that last, and leases, as real processes against one member. */

let directory: string;
let cluster: ProcessCluster;
let endpoint: string;
const running: Running[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-following-'));
  const command = [...quorateCommand(), 'serve'];
  cluster = await ProcessCluster.start({ command, directory, members: 1 });
  endpoint = cluster.endpoints[0] ?? '';
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((each) => each.end('SIGKILL')));
});

afterAll(async () => {
  await cluster?.close();
  rmSync(directory, { recursive: true });
});

/** Runs a command that ends by itself, in this process. */
async function at(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const host = new TestHost();
  const code = await run([...args, '--endpoints', endpoint], host);
  return { code, out: host.output, err: host.errors.map((line) => `${line}\n`).join('') };
}

async function says(args: readonly string[]): Promise<string> {
  const { code, out, err } = await at(args);
  expect({ code, err }, args.join(' ')).toEqual({ code: EXIT.ok, err: '' });
  return out;
}

function start(args: readonly string[]): Running {
  const started = new Running([...args, '--endpoints', endpoint]);
  running.push(started);
  return started;
}

describe('watch', () => {
  test('prints changes as etcdctl does, until Ctrl-C: exit code 130', async () => {
    const put = JSON.parse(await says(['put', 'w/a', 'old', '-w', 'json']));
    const rev = String(put.header.revision);
    const watch = start(['watch', 'w/', '--prefix', '--rev', rev, '--prev-kv']);
    expect(await watch.lines(3)).toEqual(['PUT', 'w/a', 'old']);
    await says(['put', 'w/a', 'new']);
    expect(await watch.lines(5)).toEqual(['PUT', 'w/a', 'old', 'w/a', 'new']);
    await says(['del', 'w/a']);
    expect(await watch.lines(5)).toEqual(['DELETE', 'w/a', 'new', 'w/a', '']);
    expect(await watch.end('SIGINT')).toEqual({ code: EXIT.interrupted, stderr: '' });
  });

  test('prints one line of JSON for each batch', async () => {
    const put = JSON.parse(await says(['put', 'j', 'x', '-w', 'json']));
    const { revision } = put.header;
    await says(['del', 'j']);
    const watch = start(['watch', 'j', '--rev', String(revision), '-w', 'json']);
    const [line = ''] = await watch.lines(1);
    const kv = { key: 'ag==', mod_revision: revision, value: 'eA==', version: 1 };
    expect(JSON.parse(line)).toMatchObject({
      header: { revision: revision + 1 },
      events: [
        { type: 'PUT', kv },
        { type: 'DELETE', kv: { key: 'ag==', mod_revision: revision + 1 } },
      ],
    });
  });

  test('ends in silence when the reader of its output has left', async () => {
    const put = JSON.parse(await says(['put', 'left', '1', '-w', 'json']));
    const watch = start(['watch', 'left', '--rev', String(put.header.revision)]);
    expect(await watch.lines(3)).toEqual(['PUT', 'left', '1']);
    watch.stopReading();
    await says(['put', 'left', '2']);
    await says(['put', 'left', '3']);
    expect(await watch.end(null)).toEqual({ code: EXIT.ok, stderr: '' });
  });

  test('says from where to go on when the history is compacted: exit code 1', async () => {
    const put = JSON.parse(await says(['put', 'gone', '1', '-w', 'json']));
    const { revision } = put.header;
    await says(['put', 'gone', '2']);
    await says(['compact', String(revision + 1)]);
    const { code, err } = await at(['watch', 'gone', '--rev', '1']);
    expect(code).toBe(EXIT.failed);
    expect(err).toMatch(new RegExp(`^error: [^\\n]* go on with --rev ${revision + 1}\\n$`));
  });
});

describe('lease', () => {
  test('grants, tells, keeps alive, lists and revokes; keys end with it', async () => {
    const granted = await says(['lease', 'grant', '60']);
    const [, id = ''] = /^lease ([0-9a-f]{16}) granted with TTL\(60s\)\n$/.exec(granted) ?? [];
    expect(await says(['put', 'leased', 'x', '--lease', id])).toBe('OK\n');
    const found = JSON.parse(await says(['get', 'leased', '-w', 'json']));
    expect(found.kvs).toMatchObject([{ lease: id }]);
    expect(await says(['lease', 'timetolive', id, '--keys'])).toMatch(
      new RegExp(
        `^lease ${id} granted with TTL\\(60s\\), remaining\\(\\d+s\\), [^\\n]*\\[leased\\]`,
      ),
    );
    expect(await says(['lease', 'keep-alive', id, '--once'])).toBe(
      `lease ${id} keepalived with TTL(60)\n`,
    );
    expect(await says(['lease', 'list'])).toBe(`found 1 leases\n${id}\n`);
    expect(JSON.parse(await says(['lease', 'list', '-w', 'json']))).toEqual({ leases: [{ id }] });
    expect(await says(['lease', 'revoke', id])).toBe(`lease ${id} revoked\n`);
    expect((await at(['get', 'leased'])).code).toBe(EXIT.failed);
    const { code, err } = await at(['lease', 'timetolive', id]);
    expect(code).toBe(EXIT.failed);
    expect(err).toBe(`error: lease ${id} expired, was revoked, or never was\n`);
  });

  test('keep-alive goes on until the lease is over: exit code 1', async () => {
    const granted = JSON.parse(await says(['lease', 'grant', '5', '-w', 'json']));
    const keeping = start(['lease', 'keep-alive', granted.id]);
    const line = `lease ${granted.id} keepalived with TTL(5)`;
    expect(await keeping.lines(2)).toEqual([line, line]);
    await says(['lease', 'revoke', granted.id]);
    const { code, stderr } = await keeping.end(null);
    expect({ code, stderr }).toEqual({
      code: EXIT.failed,
      stderr: `error: lease ${granted.id} expired, was revoked, or never was\n`,
    });
  });
});

describe('lock', () => {
  test('is held until Ctrl-C; the next one waits, and gets a larger token', async () => {
    const first = start(['lock', 'l', '-w', 'json']);
    const held = JSON.parse((await first.lines(1))[0] ?? '');
    expect(Buffer.from(held.key, 'base64').toString()).toBe(`l/${held.lease.replace(/^0+/, '')}`);
    const second = start(['lock', 'l', '-w', 'json']);
    const got = second.lines(1);
    await eventually('both stand in the queue', 10_000, async () => {
      const count = await says(['range', 'l/', '--prefix', '--count-only']);
      return count === '2\n' ? true : null;
    });
    expect(await first.end('SIGINT')).toEqual({ code: EXIT.interrupted, stderr: '' });
    const next = JSON.parse((await got)[0] ?? '');
    expect(next.fencing_token).toBeGreaterThan(held.fencing_token);
    await second.end('SIGTERM');
    expect(await says(['range', 'l/', '--prefix', '--count-only'])).toBe('0\n');
  });

  test('runs a command under it and ends with its exit code', async () => {
    const script = 'echo "$QUORATE_LOCK_KEY $QUORATE_LOCK_TOKEN"; exit 7';
    const lock = ['lock', 'run', '--endpoints', endpoint, '--'];
    const { code, stdout } = await quorate([...lock, 'sh', '-c', script]);
    expect(code).toBe(7);
    expect(stdout.toString()).toMatch(/^run\/[0-9a-f]+ \d+\n$/);
    expect(await says(['range', 'run/', '--prefix', '--count-only'])).toBe('0\n');
    const unknown = await quorate([...lock, '/no/such/program']);
    expect(unknown.code).toBe(EXIT.usage);
    expect(unknown.stderr).toMatch(/^error: cannot run '\/no\/such\/program': [^\n]*\n$/);
  });

  test('that is lost while a command runs ends the command: exit code 1', async () => {
    const args = ['lock', 'lost', '--ttl', '3', '--endpoints', endpoint];
    const lasting = new Running([...args, '--', 'sh', '-c', 'echo up; exec sleep 60']);
    running.push(lasting);
    await lasting.lines(1);
    const { leases } = JSON.parse(await says(['lease', 'list', '-w', 'json']));
    for (const { id } of leases) await says(['lease', 'revoke', id]);
    const { code, stderr } = await lasting.end(null);
    expect(code).toBe(EXIT.failed);
    expect(stderr).toMatch(/^error: the lock was lost: [^\n]*\n$/);
  });
});

describe('elect', () => {
  test('leads until Ctrl-C, and whoever listens hears of each leader', async () => {
    const listening = start(['elect', 'e', '--listen']);
    const first = start(['elect', 'e', 'first']);
    const [key = ''] = await first.lines(2);
    expect(key).toMatch(/^e\/[0-9a-f]+$/);
    expect(await listening.lines(2)).toEqual([key, 'first']);
    const second = start(['elect', 'e', 'second']);
    expect(await first.end('SIGINT')).toEqual({ code: EXIT.interrupted, stderr: '' });
    const [nextKey = ''] = await second.lines(2);
    expect(await listening.lines(2)).toEqual([nextKey, 'second']);
  });
});

describe('range', () => {
  test('sorts, bounds, and prints values alone, as etcdctl get does', async () => {
    const revisions: number[] = [];
    for (const [key, value] of [
      ['s/b', '3'],
      ['s/a', '2'],
      ['s/c', '1'],
    ] as const) {
      revisions.push(JSON.parse(await says(['put', key, value, '-w', 'json'])).header.revision);
    }
    const all = ['range', 's/', '--prefix', '--print-value-only'];
    expect(await says(all)).toBe('2\n3\n1\n');
    expect(await says([...all, '--sort-by', 'VALUE'])).toBe('1\n2\n3\n');
    expect(await says([...all, '--sort-by', 'MODIFY', '--order', 'DESCEND'])).toBe('1\n2\n3\n');
    expect(await says([...all, '--order', 'DESCEND', '--limit', '1'])).toBe('1\n');
    expect(await says([...all, '--min-mod-rev', String(revisions[1])])).toBe('2\n1\n');
    expect(await says([...all, '--max-create-rev', String(revisions[1])])).toBe('2\n3\n');
    expect(await says([...all, '--consistency', 's', '--limit', '1'])).toBe('2\n');
  });
});
