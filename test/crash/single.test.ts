import { describe, expect, test } from 'vitest';
import { type Command, decodeAnswer, encodeCommand, type Query } from '../../src/api/index.ts';
import {
  append,
  closeSession,
  del,
  inSession,
  openSession,
  put,
  rangeOf,
  readable,
  span,
} from '../../src/kv/testing/harness.ts';
import { Prng } from '../../src/lib/index.ts';
import { campaign, type Subject } from './campaign.ts';
import { Life, SELF } from './life.ts';
import { type Left, NOTHING } from './machine.ts';
import { FULL, FULL_TIMEOUT_MS, SEED } from './scale.ts';

const FILLER = 'x'.repeat(3_000);
const EVERYTHING: Query = { serializable: false, query: rangeOf(span('\x01', null)) };

/** All in one session but its opening, and a second one that is opened and closed. */
const COMMANDS: readonly Command[] = [
  openSession('crash', 1),
  ...Array.from({ length: 36 }, (_, n) => inSession(operationOf(n), 1, n + 1)),
  openSession('other', 2),
  closeSession(2),
  inSession(append('all', '<end>'), 1, 37),
];

function operationOf(n: number) {
  if (n % 12 === 11) return { type: 'compact', revision: n - 5 } as const;
  if (n % 7 === 6) return del(`key-${n - 1}`);
  return n % 3 === 0 ? put(`key-${n}`, FILLER) : append('all', `<${n}>`);
}

/** What clients know. */
interface Told {
  /** Commands that were answered: all before this one. */
  readonly answered: number;
  /** Commands that were sent. */
  readonly sent: number;
}

async function execute(life: Life, command: Command): Promise<unknown> {
  let answer: unknown = null;
  life.member.service.execute(encodeCommand(command), (bytes) => {
    if (!life.isDead) answer = readable(decodeAnswer(bytes));
  });
  await life.settle();
  return answer;
}

async function read(life: Life): Promise<string> {
  let answer: unknown = null;
  life.member.service.read(EVERYTHING, (bytes) => {
    answer = readable(decodeAnswer(bytes));
  });
  await life.settle();
  return JSON.stringify(answer);
}

const start = (left: Left, dieAt: number): Promise<Life> =>
  Life.start(left, { voters: [SELF], dieAt });

describe('a member on its own that crashes at any step', () => {
  test(
    'has executed every command that was answered, each once, in order',
    async () => {
      // What a life without a crash answers, and shows after so many commands.
      const answers: unknown[] = [];
      const shown: string[] = [];
      const undisturbed = await start(NOTHING, Number.POSITIVE_INFINITY);
      for (const command of COMMANDS) {
        shown.push(await read(undisturbed));
        answers.push(await execute(undisturbed, command));
      }
      shown.push(await read(undisturbed));
      expect(answers.filter((answer) => JSON.stringify(answer).includes('"error"'))).toEqual([]);

      const live = async (dieAt: number): Promise<{ life: Life; known: Told }> => {
        const life = await start(NOTHING, dieAt);
        let answered = 0;
        let sent = 0;
        for (const command of life.isDead ? [] : COMMANDS) {
          sent++;
          if ((await execute(life, command)) === null) break;
          answered++;
        }
        if (!life.isDead) await life.close();
        return { life, known: { answered, sent } };
      };

      const recover = async (left: Left, { answered, sent }: Told): Promise<void> => {
        const life = await start(left, Number.POSITIVE_INFINITY);
        const found = await read(life);
        let executed = sent;
        while (executed > answered && shown[executed] !== found) executed--;
        expect(found, `${answered} answered, ${sent} sent`).toBe(shown[executed]);
        // Whoever has no answer sends again: the answers of the session are what they were.
        for (const [n, command] of COMMANDS.entries()) {
          const isOfSession = command.type === 'operation';
          if (!isOfSession && n < answered) continue;
          const answer = await execute(life, command);
          // A session that is opened or closed twice may say so; its commands must not.
          if (isOfSession || n >= sent) expect(answer, `command ${n} again`).toEqual(answers[n]);
        }
        expect(await read(life)).toBe(shown.at(-1));
        await life.close();
      };

      const subject: Subject<Told> = { live, restart: start, recover };
      const result = await campaign(subject, { full: FULL, random: new Prng(SEED) });
      expect(result.steps).toBeGreaterThan(150);
      expect(result.states).toBeGreaterThan(100);
    },
    FULL_TIMEOUT_MS,
  );
});
