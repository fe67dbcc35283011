import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FAULT_KINDS } from '../sim/index.ts';
import { EXIT } from './exit.ts';
import { run } from './program.ts';
import { TestHost } from './testing/host.ts';

describe('quorate sim', () => {
  test('says one line for the run, its counters, and the rate', async () => {
    const host = new TestHost();
    expect(await run(['sim', '--seed', '4', '--members', '1'], host)).toBe(EXIT.ok);
    expect(host.output).toMatch(/^seed 4 {2}1 members .* calls .* faults {2}[0-9a-f]{8} {2}ok\n/);
    expect(host.output).toMatch(/\d+ {2}sometimes: leader elected\n/);
    expect(host.output).toMatch(/\n1 runs, 0 failed; .* simulated seconds per second/);
  });

  test('shows everything that happens in one seed, the same every time', async () => {
    const [first, second] = [new TestHost(), new TestHost()];
    const command = ['sim', '--seed', '4', '--members', '1', '--trace'];
    expect(await run(command, first)).toBe(EXIT.ok);
    expect(await run(command, second)).toBe(EXIT.ok);
    expect(first.output).toContain('m1.1     is up');
    expect(first.output).toBe(second.output);
  });

  test('stops when the user wants it to, and then vouches for nothing', async () => {
    const host = new TestHost({ signal: AbortSignal.abort() });
    expect(await run(['sim', '--minutes', '5', '--jobs', '1'], host)).toBe(EXIT.interrupted);
    expect(host.output).toContain('0 runs');
  });

  test('plants a bug and says how it was found', async () => {
    const host = new TestHost();
    expect(await run(['sim', '--planted', 'never heard', '--jobs', '1'], host)).toBe(EXIT.ok);
    expect(host.output).toContain('candidates are never heard | a majority elects');
    expect(host.output).toMatch(/1 of 1 bugs found, .* seeds: median 1, worst 1\n/);
  });

  test('fails when a planted bug is not found', async () => {
    const host = new TestHost();
    // It takes tens of seeds (docs/SIMULATION.md).
    const command = ['sim', '--planted', 'deposed leader are', '--seeds', '1', '--jobs', '1'];
    expect([await run(command, host), host.errors]).toEqual([EXIT.failed, []]);
    expect(host.output).toContain('NOT FOUND\n\n0 of 1 bugs found');
  });

  test('leaves classes of faults out, and refuses one that is none', async () => {
    const host = new TestHost();
    const command = ['sim', '--seed', '4', '--members', '3', '--without'];
    const all = FAULT_KINDS.join(',');
    expect(await run([...command, all], host)).toBe(EXIT.ok);
    expect(host.output).toMatch(/ 0 faults /);
    expect(await run([...command, 'fire'], host)).toBe(EXIT.usage);
    expect(host.errors.join('\n')).toContain("'fire' is none of kill");
  });

  test('leaves all faults out but those that are named, and refuses what names none', async () => {
    const host = new TestHost();
    const command = ['sim', '--seed', '4', '--members', '3', '--quiet', '--only'];
    expect(await run([...command, ''], host)).toBe(EXIT.ok);
    expect(host.output).toMatch(/ 0 faults /);
    for (const wrong of ['kill', 'fire#1', 'kill#0', 'kill#1#2']) {
      expect(await run([...command, wrong], host)).toBe(EXIT.usage);
      expect(host.errors.at(-1)).toContain(`'${wrong}' is no fault such as kill#3`);
    }
  });

  test('draws one run, and refuses to draw many', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'quorate-sim-'));
    const path = join(directory, 'run.html');
    const host = new TestHost();
    const command = ['sim', '--members', '1', '--html'];
    expect(await run([...command, path, '--seed', '4'], host)).toBe(EXIT.ok);
    expect(await readFile(path, 'utf8')).toContain('<title>seed 4: ok</title>');
    expect(await run([...command, directory, '--seed', '4'], host)).toBe(EXIT.usage);
    expect(await run([...command, path], host)).toBe(EXIT.usage);
    expect(host.errors.at(-1)).toContain('--html');
    await rm(directory, { recursive: true });
  });

  test('prints the matrix of calls and faults', async () => {
    const host = new TestHost();
    const command = ['sim', '--seed', '4', '--members', '1', '--matrix'];
    expect(await run(command, host)).toBe(EXIT.ok);
    expect(host.output).toMatch(/\n\| {2}\| kill \| .* \|\n\| --- \|/);
    expect(host.output).toMatch(/\n\| append \| \d+ \|/);
  });

  test('refuses a seed that is none', async () => {
    const host = new TestHost();
    expect(await run(['sim', '--seed', 'x'], host)).toBe(EXIT.usage);
    expect(host.errors.join('\n')).toContain('--seed');
  });
});
