import type { KvService, Query, Reply } from '../api/index.ts';
import type { Process } from './process.ts';

/**
 * A request outlives at most so many looks at it. Between two of them the process was awake for a
 * request timeout, or slept for some of it.
 */
const LOOKS_MAX = 4;

/**
 * A service that is watched: a command or a query is answered, whatever has happened, not long
 * after the request timeout, for as long as its process lives.
 * @param onSilence told when one of them had no answer in time
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
  /** Requests without an answer. */
  const waiting = new Set<{ looks: number }>();
  const look = (): void => {
    for (const request of waiting) if (++request.looks > LOOKS_MAX) onSilence();
    process.clock.setTimer(timeoutMs, look);
  };
  look();
  const expected = (reply: Reply, waitMs = 0): Reply => {
    // Who asks for news may be kept waiting before.
    const request = { looks: -Math.ceil(waitMs / timeoutMs) };
    waiting.add(request);
    return (answer) => {
      waiting.delete(request);
      reply(answer);
    };
  };
  return {
    execute(bytes, reply) {
      const onAnswer = onCommand(bytes);
      const answered = expected((answer) => {
        onAnswer(answer);
        reply(answer);
      });
      service.execute(bytes, answered);
    },
    read: (query, reply) => service.read(query, expected(reply, waitOf(query))),
    status: () => service.status(),
  };
}

/** How long the answer may be kept back, milliseconds. */
function waitOf({ query }: Query): number {
  return query.type === 'changes' ? query.waitMs : 0;
}
