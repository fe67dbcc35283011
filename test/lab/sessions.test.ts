import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { Lab, sleep } from './lab.ts';

let lab: Lab;
afterEach(() => lab.close(), 30_000);

/** A clerk in a process of its own that can be killed. */
class DoomedClerk {
  readonly #child: ChildProcessWithoutNullStreams;
  #said = '';

  constructor(endpoints: readonly string[], session: string) {
    const client = join(dirname(inject('quorateMain')), '..', 'client', 'index.js');
    const script = new URL('./doomed-clerk.mjs', import.meta.url).pathname;
    this.#child = spawn(process.execPath, [script, client, endpoints.join(','), session]);
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
  }

  append(token: string): void {
    this.#child.stdin.write(`${token}\n`);
  }

  async says(text: string): Promise<void> {
    await lab.until(async () => (this.#said.includes(text) ? true : null), `"${text}"`);
  }

  /** True when it has said this line. */
  hasSaid(text: string): boolean {
    return this.#said.includes(text);
  }

  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }
}

describe('sessions survive their client', () => {
  test('a clerk killed between send and reply, restarted under its name, learns what ran', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(3);
    const links = await lab.linksOf('doomed', lab.members);
    const doomed = new DoomedClerk(
      links.map((link) => link.url),
      'payroll',
    );
    await doomed.says('opened');
    doomed.append('<pay 1>');
    await doomed.says('answered <pay 1>');
    for (const link of links) link.cut('dropReplies');
    doomed.append('<pay 2>');
    const witness = await lab.clerk('witness');
    await lab.until(
      async () => ((await witness.get('ledger'))?.includes('<pay 2>') ? true : null),
      'execution of the command',
    );
    expect(doomed.hasSaid('answered <pay 2>')).toBe(false);
    await doomed.kill();
    for (const link of links) link.heal();

    const restarted = await lab.clerk('restarted', { session: 'payroll' });
    expect(restarted.session).toMatchObject({ name: 'payroll', resumed: true, lastSeq: 2 });
    expect(restarted.session?.lastAnswer).toMatchObject({
      state: 'executed',
      result: { type: 'append', valueBytes: 14 },
    });
    // The script repeats the command under its number: it gets the first answer and runs nothing.
    const repeated = await restarted.append('ledger', '<pay 2>', { seq: 2 });
    expect(repeated.valueBytes).toBe(14);
    await restarted.append('ledger', '<pay 3>');
    expect(await witness.get('ledger')).toBe('<pay 1><pay 2><pay 3>');
  });

  test('a command that never reached a leader is reported as not executed, and then runs once', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(3);
    const links = await lab.linksOf('doomed', lab.members);
    const doomed = new DoomedClerk(
      links.map((link) => link.url),
      'payroll',
    );
    await doomed.says('opened');
    doomed.append('<pay 1>');
    await doomed.says('answered <pay 1>');
    for (const link of links) link.cut('silent');
    doomed.append('<pay 2>');
    await sleep(100);
    await doomed.kill();
    for (const link of links) link.resetConnections();
    for (const link of links) link.heal();

    const restarted = await lab.clerk('restarted', { session: 'payroll' });
    expect(restarted.session).toMatchObject({ resumed: true, lastSeq: 1 });
    expect(await restarted.resolve(2)).toEqual({ state: 'notExecuted' });
    await restarted.append('ledger', '<pay 2>', { seq: 2 });
    expect(await restarted.get('ledger')).toBe('<pay 1><pay 2>');
  });

  test('the old incarnation is refused for ever', { timeout: 60_000 }, async () => {
    lab = await Lab.start(3);
    const old = await lab.clerk('old', { session: 'payroll' });
    await old.append('ledger', '<old>');
    const next = await lab.clerk('next', { session: 'payroll' });
    expect(next.session).toMatchObject({ incarnation: 2, resumed: true, lastSeq: 1 });
    await next.append('ledger', '<next>');
    const refusal = await old.append('ledger', '<late>').catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: expect.stringMatching(/SESSION_(FENCED|LOST_UNKNOWN)/) });
    expect(await next.get('ledger')).toBe('<old><next>');
  });

  test('a session and its answers survive the crash of all members', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(3);
    const first = await lab.clerk('first', { session: 'payroll' });
    const { revision } = await first.append('ledger', '<1>');
    await lab.crashAll(100);
    const second = await lab.clerk('second', { session: 'payroll' });
    expect(second.session).toMatchObject({ incarnation: 2, resumed: true, lastSeq: 1 });
    expect(second.session?.lastAnswer).toMatchObject({
      state: 'executed',
      result: { type: 'append', revision },
    });
    expect(await second.get('ledger')).toBe('<1>');
    await lab.agreement();
  });
});
