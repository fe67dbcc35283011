import {
  type Command,
  decodeAnswer,
  decodeCommand,
  encodeAnswer,
  encodeCommand,
  type Operation,
  type Query,
} from '../../api/index.ts';
import { type CommandBatch, KvStateMachine } from '../../kv/index.ts';
import { type Bug, everyNth, replacing } from './bug.ts';

/** Mistakes of a state machine. */
export const MACHINE_BUGS: readonly Bug[] = [
  {
    name: 'an entry is skipped when it is applied',
    planted: { substitute: () => changingApply(skipping) },
  },
  {
    name: 'sessions are ignored: what comes twice runs twice',
    planted: { substitute: () => changingApply(ignoringSessions) },
    run: { members: 3, faults: ['breakClients', 'kill', 'pause'] },
  },
  {
    name: 'time is taken from the member and not from the log',
    planted: { substitute: () => changingApply(addingOwnTime()) },
  },
  {
    name: 'the order within an entry differs between members',
    planted: { substitute: () => changingApply(reversing()) },
  },
  {
    name: 'a value contains what only one member knows',
    planted: { substitute: () => changingApply(signing()) },
  },
  {
    name: 'a command gets the answer of its neighbour',
    planted: { substitute: () => changingApply(rotatingAnswers) },
  },
  {
    name: 'a client that was replaced is not fenced',
    planted: { substitute: () => changingApply(forgiving()) },
    run: { members: 3, faults: ['zombieClerk', 'pauseClerk', 'restartClerk'] },
  },
  {
    name: 'answers are dropped before the client has them',
    planted: { substitute: () => changingApply(droppingAnswers) },
    run: { members: 3, faults: ['breakClients', 'kill', 'pause'] },
  },
  {
    name: 'a transaction is executed in part',
    planted: { substitute: () => changingApply(halvingTransactions) },
  },
  {
    name: 'reads come from a cache that no write clears',
    planted: { substitute: caching },
  },
];

type Apply = (batch: CommandBatch) => Uint8Array[];
type ApplyChange = (machine: KvStateMachine, batch: CommandBatch, apply: Apply) => Uint8Array[];

function changingApply(change: ApplyChange): () => void {
  return replacing(
    KvStateMachine.prototype,
    'apply',
    (original) =>
      function (this: KvStateMachine, batch: CommandBatch) {
        return change(this, batch, (changed) => original.call(this, changed));
      },
  );
}

/** Gives every operation another form. */
function mapping(batch: CommandBatch, map: (command: Command) => Command): CommandBatch {
  const commands = batch.commands.map((bytes) => encodeCommand(map(decodeCommand(bytes))));
  return { ...batch, commands };
}

/** A number for each machine: members that were started differently have different ones. */
function numbering(): (machine: KvStateMachine) => number {
  const numbers = new WeakMap<KvStateMachine, number>();
  let machines = 0;
  return (machine) => {
    const number = numbers.get(machine) ?? machines++;
    numbers.set(machine, number);
    return number;
  };
}

/** The same one everywhere, so that members still agree. */
const skipping: ApplyChange = (_, batch, apply) => {
  if (batch.index % 50 !== 0) return apply(batch);
  apply({ ...batch, commands: [] });
  const answer = encodeAnswer({ type: 'append', revision: 2, valueBytes: 1 });
  return batch.commands.map(() => answer);
};

const ignoringSessions: ApplyChange = (_, batch, apply) =>
  apply(
    mapping(batch, (command) =>
      command.type === 'operation' ? { ...command, session: null } : command,
    ),
  );

function addingOwnTime(): ApplyChange {
  const numberOf = numbering();
  return (machine, batch, apply) => apply({ ...batch, timeMs: batch.timeMs + numberOf(machine) });
}

function reversing(): ApplyChange {
  const numberOf = numbering();
  return (machine, batch, apply) => {
    if (numberOf(machine) % 2 === 0) return apply(batch);
    return apply({ ...batch, commands: [...batch.commands].reverse() }).reverse();
  };
}

function signing(): ApplyChange {
  const numberOf = numbering();
  const isDue = everyNth(20);
  return (machine, batch, apply) => {
    if (!isDue()) return apply(batch);
    const signature = Uint8Array.of(0x30 + (numberOf(machine) % 10));
    const sign = (operation: Operation): Operation =>
      operation.type === 'put' ? { ...operation, value: signature } : operation;
    return apply(
      mapping(batch, (command) =>
        command.type === 'operation' ? { ...command, operation: sign(command.operation) } : command,
      ),
    );
  };
}

/** Of an entry's answers each goes to the command before its own. */
const rotatingAnswers: ApplyChange = (_, batch, apply) => {
  const [first, ...rest] = apply(batch);
  return first === undefined ? rest : [...rest, first];
};

/** Whatever incarnation a command names, it counts as the present one. */
function forgiving(): ApplyChange {
  const present = new WeakMap<KvStateMachine, Map<number, number>>();
  return (machine, batch, apply) => {
    const incarnations = present.get(machine) ?? new Map<number, number>();
    present.set(machine, incarnations);
    const answers = apply(
      mapping(batch, (command) => {
        if (command.type !== 'operation' || command.session === null) return command;
        const { session } = command;
        const incarnation = incarnations.get(session.sessionId) ?? session.incarnation;
        return { ...command, session: { ...session, incarnation } };
      }),
    );
    for (const bytes of answers) {
      const answer = decodeAnswer(bytes);
      if (answer.type === 'openSession') incarnations.set(answer.sessionId, answer.incarnation);
    }
    return answers;
  };
}

const droppingAnswers: ApplyChange = (_, batch, apply) =>
  apply(
    mapping(batch, (command) => {
      if (command.type !== 'operation' || command.session === null) return command;
      const { session } = command;
      return { ...command, session: { ...session, ackedSeq: session.seq - 1 } };
    }),
  );

/** Only the first step of some transactions is done, and both are reported. */
const halvingTransactions: ApplyChange = (_, batch, apply) => {
  const halved = new Set<number>();
  const commands = batch.commands.map((bytes, i) => {
    const command = decodeCommand(bytes);
    if (command.type !== 'operation' || command.operation.type !== 'txn') return bytes;
    const { success } = command.operation;
    if (success.length < 2 || batch.index % 10 !== 0) return bytes;
    halved.add(i);
    const operation = { ...command.operation, success: success.slice(0, 1) };
    return encodeCommand({ ...command, operation });
  });
  return apply({ ...batch, commands }).map((bytes, i) => {
    const answer = decodeAnswer(bytes);
    if (!halved.has(i) || answer.type !== 'txn' || answer.results.length !== 1) return bytes;
    return encodeAnswer({ ...answer, results: [...answer.results, ...answer.results] });
  });
};

function caching(): () => void {
  const caches = new WeakMap<KvStateMachine, Map<string, { answer: Uint8Array; left: number }>>();
  return replacing(
    KvStateMachine.prototype,
    'query',
    (original) =>
      function (this: KvStateMachine, query: Query) {
        const cache = caches.get(this) ?? new Map<string, { answer: Uint8Array; left: number }>();
        caches.set(this, cache);
        const key = JSON.stringify(query);
        const cached = cache.get(key);
        if (cached !== undefined && cached.left-- > 0) return cached.answer;
        const answer = original.call(this, query);
        cache.set(key, { answer, left: 3 });
        return answer;
      },
  );
}
