import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { liveDisplay, plainDisplay, tableLines, type View } from './display.ts';
import type { MemberView } from './watch.ts';

const LEADER: MemberView = {
  name: 'm1',
  condition: 'serving',
  status: {
    ...{ clusterId: 1n, memberId: 2n, name: 'm1', version: '0', role: 'leader', leader: null },
    ...{ term: 3, commitIndex: 9, appliedIndex: 1_234, revision: 5, stateHash: 'f0' },
    ...{ sessions: 4, logBytes: 1 },
  },
};

function view(elapsedMs: number): View {
  const members = [LEADER, { name: 'm2', condition: 'frozen', status: null } as const];
  const counts = { acknowledged: 50, acknowledgedPerSecond: 10, faults: '1 leaders killed' };
  return { elapsedMs, progress: elapsedMs / 20_000, members, ...counts };
}

/** A terminal whose output can be looked at. */
function terminal(): { stream: NodeJS.WriteStream; output: () => string } {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
  let output = '';
  stream.on('data', (chunk) => {
    output += String(chunk);
  });
  return { stream: stream as unknown as NodeJS.WriteStream, output: () => output };
}

test('the table has a row for each member, also for one that does not answer', () => {
  expect(tableLines(view(0).members)).toEqual([
    '  member   role           term    applied   state',
    '  m1       leader            3       1234   serving',
    '  m2       -                 -          -   frozen',
  ]);
});

test('where nothing can be redrawn, events stand alone but for a line every five seconds', () => {
  let output = '';
  const display = plainDisplay((text) => {
    output += text;
  });
  display.event('begin');
  for (let elapsedMs = 0; elapsedMs < 12_000; elapsedMs += 200) display.update(view(elapsedMs));
  display.event('end');
  display.close();
  expect(output).toBe(
    'begin\n' +
      ' 5.0 s  25 %: 50 acknowledged, 10/s; 1 leaders killed\n' +
      '10.0 s  50 %: 50 acknowledged, 10/s; 1 leaders killed\n' +
      'end\n',
  );
});

describe('on a terminal', () => {
  test('table and bar are drawn below the events, and gone at the end with the cursor back', () => {
    const { stream, output } = terminal();
    const display = liveDisplay(stream);
    display.event('before the table');
    display.update(view(5_000));
    display.event('below the table');
    display.close();
    display.close();
    display.event('afterwards');
    stream.end();
    expect(output()).toMatch(/^before the table\n/);
    expect(output()).toContain('below the table\x1b[K\n');
    expect(output()).toContain('[########......................] 25 %');
    const last = output().slice(output().lastIndexOf('25 %'));
    // Cursor and line wrapping on, back to the first line, all below cleared.
    expect(last).toContain('\x1b[?25h\x1b[?7h');
    expect(last.endsWith('\x1b[0Jafterwards\n')).toBe(true);
  });

  test('without a single picture nothing needs to be restored', () => {
    const { stream, output } = terminal();
    liveDisplay(stream).close();
    stream.end();
    expect(output()).toBe('');
  });
});
