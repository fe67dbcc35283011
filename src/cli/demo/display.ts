import cliProgress from 'cli-progress';
import type { MemberView } from './watch.ts';

/** Redraws of the live table in a second. */
const FRAMES_PER_SECOND = 5;
/** Pause between two progress lines where nothing can be redrawn, milliseconds. */
const PLAIN_PROGRESS_MS = 5_000;

/** One moment of a run. */
export interface View {
  readonly elapsedMs: number;
  /** 0 … 1. */
  readonly progress: number;
  readonly members: readonly MemberView[];
  readonly acknowledged: number;
  readonly acknowledgedPerSecond: number;
  /** Faults so far, in words. */
  readonly faults: string;
}

/** Where a run is shown. */
export interface Display {
  /** One line that stays. */
  event(line: string): void;
  /** Replaces what is shown of the present moment. */
  update(view: View): void;
  /** Leaves the terminal as it was, without the live part. Safe to call twice. */
  close(): void;
}

/** Lines for files and pipes: events, and now and then how far it is. */
export function plainDisplay(write: (text: string) => void): Display {
  let nextMs = PLAIN_PROGRESS_MS;
  return {
    event: (line) => write(`${line}\n`),
    update: (view) => {
      if (view.elapsedMs < nextMs) return;
      nextMs = view.elapsedMs + PLAIN_PROGRESS_MS;
      write(`${progressText(view)}\n`);
    },
    close: () => {},
  };
}

/** A table and a progress bar below the events, redrawn in place. */
export function liveDisplay(stream: NodeJS.WriteStream): Display {
  const bars = new cliProgress.MultiBar({
    stream,
    fps: FRAMES_PER_SECOND,
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false,
    forceRedraw: true, // an event moves every line, changed or not
    barsize: 30,
    barCompleteChar: '#',
    barIncompleteChar: '.',
  });
  // One write for each frame: a half-drawn one is never seen.
  bars.on('update-pre', () => stream.cork());
  bars.on('redraw-post', () => stream.uncork());
  const rows: cliProgress.SingleBar[] = [];
  let bar: cliProgress.SingleBar | null = null;
  let closed = false;
  const close = (): void => {
    if (closed) return;
    closed = true;
    process.off('exit', close);
    if (bar === null) return;
    bars.update(); // events that were not drawn yet
    bars.stop();
  };
  process.on('exit', close); // a second Ctrl-C ends the process at once
  return {
    event: (line) => {
      if (closed || bar === null) stream.write(`${line}\n`);
      else bars.log(`${line}\x1b[K\n`);
    },
    update: (view) => {
      if (closed) return;
      const lines = ['', ...tableLines(view.members), '', totalsLine(view)];
      lines.forEach((line, at) => {
        rows[at] ??= bars.create(1, 0, { line }, { format: '{line}' });
        rows[at]?.update({ line });
      });
      bar ??= bars.create(1, 0, {}, { format: '  [{bar}] {percentage} %' });
      bar.update(view.progress);
    },
    close,
  };
}

/** The members as a table, as wide as its cells need. */
export function tableLines(members: readonly MemberView[]): string[] {
  const cells = [
    ['member', 'role', 'term', 'applied', 'state'],
    ...members.map(({ name, condition, status }) =>
      status === null
        ? [name, '-', '-', '-', condition]
        : [name, status.role, `${status.term}`, `${status.appliedIndex}`, condition],
    ),
  ];
  return cells.map(([name = '', role = '', term = '', applied = '', condition = '']) =>
    [
      `  ${name.padEnd(8)}`,
      role.padEnd(12),
      `${term.padStart(6)} ${applied.padStart(10)}`,
      `  ${condition}`,
    ].join(' '),
  );
}

function totalsLine({ acknowledged, acknowledgedPerSecond, faults }: View): string {
  return `  ${acknowledged} acknowledged, ${acknowledgedPerSecond}/s; ${faults}`;
}

function progressText(view: View): string {
  const percentage = Math.floor(view.progress * 100);
  return `${secondsText(view.elapsedMs)}  ${percentage} %:${totalsLine(view).slice(1)}`;
}

/** A time since the load began, six characters wide. */
export function secondsText(elapsedMs: number): string {
  return `${(elapsedMs / 1_000).toFixed(1).padStart(4)} s`;
}
