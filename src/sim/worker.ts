/**
 * A process that makes runs for another one (`forkRunner`): a task in, a report out, until whoever
 * asks is gone.
 */
import { runTask, type Task, type WorkerAnswer } from './runner.ts';

process.on('message', (task: Task) => {
  runTask(task).then(
    (report) => answer({ report }),
    (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', () => process.exit());
// Signals reach the whole group of processes: whoever asked decides what they mean.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});

function answer(message: WorkerAnswer): void {
  if (process.connected) process.send?.(message);
}
