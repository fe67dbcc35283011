import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, inject, test } from 'vitest';

/** Runs a script with the compiled modules of this folder under `load('name')`. */
async function script(body: string): Promise<{ code: number | null; lines: string[] }> {
  const folder = pathToFileURL(`${dirname(inject('quorateMain'))}/`).href;
  const load = `const load = (name) => import(new URL(name + '.js', ${JSON.stringify(folder)}));`;
  const source = `${load} ${body}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (part) => {
    stderr += String(part);
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, lines: stderr.trimEnd().split('\n') };
}

const GUARDED = `
  const { processLog } = await load('log');
  const { guardProcess } = await load('runtime');
  const log = processLog({ fd: 2, level: 'info', format: FORMAT });
  guardProcess(log);
  setInterval(() => {}, 1000);
`;

describe('a bug stops the process, which says why', () => {
  test.each([
    ['an exception', "setTimeout(() => { throw new Error('the bug'); }, 1);", 'uncaughtException'],
    ['a rejection nobody handles', "Promise.reject(new Error('the bug'));", 'unhandledRejection'],
  ])('%s: exit code 1', async (_what, bug, origin) => {
    const { code, lines } = await script(`${GUARDED.replace('FORMAT', "'json'")} ${bug}`);
    expect(code).toBe(1);
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'error',
      msg: `stopping: ${origin}: the bug`,
      error: { message: 'the bug', stack: expect.stringContaining('Error: the bug') },
    });
  });
});

test('a warning of Node goes to the log', async () => {
  const body = `${GUARDED.replace('FORMAT', "'json'")}
    process.emitWarning('something is old'); setTimeout(() => process.exit(0), 10);`;
  const { lines } = await script(body);
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    level: 'warn',
    msg: 'node: something is old',
  });
});

test('pretty lines have no colours where there is no terminal', async () => {
  const body = `${GUARDED.replace('FORMAT', "'pretty'")}
    log.info('serving', { memberId: 255n }); process.exit(0);`;
  const { lines } = await script(body);
  expect(lines).toEqual([expect.stringMatching(/^\[[\d:.]+\] INFO: serving \{"memberId":"ff"\}$/)]);
});

describe('a signal', () => {
  const HOST = `
    const { processHost } = await load('host');
    const host = processHost();
    setInterval(() => {}, 1000);
    const twice = (name) => { process.kill(process.pid, name);
      host.signal.addEventListener('abort', () => process.kill(process.pid, name)); };
  `;
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('asks to stop, and a second %s ends the process at once', async (name, expected) => {
    const { code } = await script(`${HOST} twice('${name}');`);
    expect(code).toBe(expected);
  });
});
