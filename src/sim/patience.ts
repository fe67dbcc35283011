import type { KvService } from '../api/index.ts';
import type { Process } from './process.ts';

/**
 * A command outlives at most so many looks at it. Between two of them the process was awake for a
 * request timeout, or slept for some of it.
 */
const LOOKS_MAX = 4;

/**
 * A service that is watched: a command is answered, whatever has happened, not long after the
 * request timeout, for as long as its process lives.
 * @param onSilence told when a command had no answer in time
 * @param onCommand told of every command; what it returns, of the answer
 */
export function watched(
  service: KvService,
  {
    process,
    timeoutMs,
    onSilence,
    onCommand,
  }: {
    readonly process: Process;
    readonly timeoutMs: number;
    readonly onSilence: () => void;
    readonly onCommand: (command: Uint8Array) => (answer: Uint8Array) => void;
  },
): KvService {
  /** Commands without an answer. */
  const waiting = new Set<{ looks: number }>();
  const look = (): void => {
    for (const command of waiting) if (++command.looks > LOOKS_MAX) onSilence();
    process.clock.setTimer(timeoutMs, look);
  };
  look();
  return {
    execute(bytes, reply) {
      const command = { looks: 0 };
      const onAnswer = onCommand(bytes);
      waiting.add(command);
      service.execute(bytes, (answer) => {
        waiting.delete(command);
        onAnswer(answer);
        reply(answer);
      });
    },
    read: (query, reply) => service.read(query, reply),
    status: () => service.status(),
  };
}
