import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import {
  carriesRevisions,
  type History,
  HistoryFormatError,
  HistoryReader,
  historyPage,
  JUDGE_BOUNDS,
  judge,
  judgementLines,
} from '../checker/index.ts';
import { CliError, EXIT, type ExitCode, oneLine, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';

/** A longer line is no call: the largest value that the store takes has 1.5 MiB. */
const LINE_CHARACTERS_MAX = 64 * 1024 * 1024;

/** More calls make a page that no browser shows quickly. */
const PAGE_CALLS_MAX = 50_000;

const EXAMPLES = `
Judges what clients recorded, one call a line (docs/CHECKER.md tells the format): is there an order
of all calls that explains every answer and agrees with real time? Ends with exit code 0 if there is
one; with 1 if there is none, or if the bounds did not suffice to tell.

Examples:
  quorate check history.jsonl
  quorate check history.jsonl --html history.html`;

interface CheckFlags {
  readonly html?: string;
  readonly checker: 'auto' | 'search' | 'revisions';
  readonly steps: number;
}

/** `quorate check HISTORY`. */
export function checkCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return new Command('check')
    .description('Judges a recorded history: linearizable or not.')
    .argument('<history>', 'a file of JSON lines')
    .option('--html <FILE>', 'draw it: one page that needs nothing else')
    .option('--checker <NAME>', 'auto, search or revisions', checkerOf, 'auto')
    .option('--steps <N>', 'bound on search steps for each key', stepsOf, JUDGE_BOUNDS.stepsMax)
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, flags: CheckFlags) => {
      const history = await readHistory(path);
      if (flags.html !== undefined && history.calls.length > PAGE_CALLS_MAX) {
        throw usageError(
          `--html: ${history.calls.length} calls; at most ${PAGE_CALLS_MAX} are drawn`,
        );
      }
      if (flags.checker === 'revisions' && !carriesRevisions(history.calls)) {
        throw usageError(`--checker revisions: not every answered call of ${path} has a revision`);
      }
      const startMs = performance.now();
      const judgement = judge(history, {
        bounds: { ...JUDGE_BOUNDS, stepsMax: flags.steps },
        ...(flags.checker === 'auto' ? {} : { checker: flags.checker }),
      });
      const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
      if (flags.html !== undefined) await write(flags.html, historyPage(history, judgement));
      const [verdict = '', ...story] = judgementLines(judgement, history).map(oneEnd);
      await host.out(`${[`${verdict}, in ${seconds} s`, ...story].join('\n')}\n`);
      finish(judgement.type === 'ok' ? EXIT.ok : EXIT.failed);
    });
}

/** A line of ours with its indentation, safe for a terminal. */
function oneEnd(line: string): string {
  return `${line.startsWith('  ') ? '  ' : ''}${oneLine(line)}`;
}

function checkerOf(text: string): CheckFlags['checker'] {
  if (text === 'auto' || text === 'search' || text === 'revisions') return text;
  throw new InvalidArgumentError('Allowed choices are auto, search, revisions.');
}

function stepsOf(text: string): number {
  const steps = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (steps >= 1) return steps;
  throw new InvalidArgumentError('It is not a whole number from 1 on.');
}

/** Reads a history line by line; only its calls are kept. */
async function readHistory(path: string): Promise<History> {
  const reader = new HistoryReader();
  let rest = '';
  try {
    for await (const piece of createReadStream(path, { encoding: 'utf8' })) {
      const lines = (rest + (piece as string)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) reader.push(line);
      if (rest.length > LINE_CHARACTERS_MAX) throw usageError(`${path}: a line is too long`);
    }
    if (rest !== '') reader.push(rest);
    return reader.end();
  } catch (error) {
    if (error instanceof HistoryFormatError) {
      throw new CliError(EXIT.usage, oneLine(`${path}: ${error.message}`), { cause: error });
    }
    if (error instanceof CliError) throw error;
    throw new CliError(EXIT.usage, `${oneLine(path)}: ${reasonOf(error)}`, { cause: error });
  }
}

async function write(path: string, text: string): Promise<void> {
  try {
    const file = await open(path, 'w');
    try {
      await file.writeFile(text);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new CliError(EXIT.usage, `--html: ${oneLine(path)}: ${reasonOf(cause)}`, { cause });
  }
}
