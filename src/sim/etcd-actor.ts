import {
  type Answer,
  decodeAnswer,
  ERRORS,
  encodeCommand,
  type Operation,
  type Query,
  singleKey,
} from '../api/index.ts';
import type { KvOperation } from '../checker/index.ts';
import { utf8Bytes, utf8String } from '../lib/index.ts';
import { judgeAnswer } from './answer-judge.ts';
import type { ClientNetwork } from './client-network.ts';
import type { Ending, History } from './history.ts';
import type { EtcdPlan } from './plan.ts';
import type { Process } from './process.ts';
import type { Replay } from './replay.ts';
import { callOnce, type SingleEnd } from './single-calls.ts';
import type { Stream } from './streams.ts';
import type { World } from './world.ts';

/** What all clients of etcd share in a run. */
export interface EtcdParts {
  readonly world: World;
  readonly network: ClientNetwork;
  readonly history: History;
  /** What the committed log says. */
  readonly replay: Replay;
  /** Names of all members. */
  readonly hosts: readonly string[];
  readonly skewMax: number;
}

/** What is asked, and what its end is taken for. */
interface Asked {
  readonly body: Operation | Query['query'];
  /** `answer`: null unless it was answered, and not with an error. */
  readonly end: (ending: Ending, answer: Answer | null) => void;
}

/**
 * A client of etcd: it knows nothing of leaders and sessions, calls any member, and never twice. So
 * what becomes of a call that it hears nothing certain of stays open for ever.
 */
export class EtcdActor {
  readonly plan: EtcdPlan;
  readonly #parts: EtcdParts;
  readonly #stream: Stream;
  readonly #process: Process;
  #pending = 0;
  #stopped = false;

  constructor(plan: EtcdPlan, parts: EtcdParts) {
    this.plan = plan;
    this.#parts = parts;
    const { world, skewMax } = parts;
    this.#stream = world.stream(`etcd client ${plan.name}`);
    const rate = 1 + this.#stream.between(-skewMax, skewMax);
    this.#process = world.process(plan.name, { offsetMs: 0, rate });
  }

  get process(): Process {
    return this.#process;
  }

  /** Calls without an end. */
  get pending(): number {
    return this.#pending;
  }

  start(): void {
    for (let i = 1; i <= this.plan.concurrency; i++) this.#think(`${this.plan.name}.${i}`);
  }

  /** Issues nothing more. */
  stop(): void {
    this.#stopped = true;
  }

  /** `lane`: one call after the other. */
  #think(lane: string): void {
    const { clock } = this.#process;
    clock.setTimer(this.#stream.exponential(this.plan.thinkMs), () => {
      if (!this.#stopped) this.#call(lane, this.#choose(lane));
    });
  }

  #choose(lane: string): Asked {
    switch (this.#stream.below(4)) {
      case 0:
        return this.#append(lane);
      case 1:
        return this.#read(lane);
      default:
        return this.#register(lane);
    }
  }

  #append(lane: string): Asked {
    const { history } = this.#parts;
    const key = history.appendTargets().appends;
    const token = history.token(lane);
    const end = history.beginAppend(lane, [key], token, { inOrder: false });
    return {
      body: { type: 'append', key: utf8Bytes(key), value: utf8Bytes(token) },
      end: (ending, answer) => {
        end({ ending, bytes: answer?.type === 'append' ? [answer.valueBytes] : null });
      },
    };
  }

  #read(lane: string): Asked {
    const { history } = this.#parts;
    const key = history.appendTargets().appends;
    const end = history.beginRead(lane, key);
    const ended = (ending: Ending, answer: Answer | null): void => {
      // What it finds is told to whoever watches the world.
      this.#parts.world.guard(() => end({ ending, output: valueIn(answer), deleted: null }));
    };
    return { body: rangeOf(key), end: ended };
  }

  #register(lane: string): Asked {
    const { history } = this.#parts;
    const name = history.registerKey(this.#stream.below(3));
    const text = history.token(lane);
    const type = this.#stream.pick(['get', 'get', 'put', 'txn', 'delete'] as const);
    const end = history.beginCall(lane, name, operationOf(type, text));
    const ended = (ending: Ending, answer: Answer | null): void => {
      const deleted = answer?.type === 'delete' ? answer.deleted > 0 : null;
      end({ ending, output: valueIn(answer), deleted });
    };
    const key = utf8Bytes(name);
    const put = { type: 'put', key, value: utf8Bytes(text), prevKv: false } as const;
    switch (type) {
      case 'get':
        return { body: rangeOf(name), end: ended };
      case 'put':
        return { body: put, end: ended };
      case 'delete':
        return { body: { type, range: singleKey(key), prevKv: false }, end: ended };
      case 'txn':
        return { body: { type, compares: [], success: [put], failure: [] }, end: ended };
    }
  }

  #call(lane: string, { body, end }: Asked): void {
    const { network, hosts } = this.#parts;
    const { plan } = this;
    this.#pending++;
    let hasEnded = false;
    const ended = (ending: Ending, answer: Answer | null): void => {
      if (hasEnded) return;
      hasEnded = true;
      timer.cancel();
      this.#pending--;
      end(ending, answer);
      this.#think(lane);
    };
    const timer = this.#process.clock.setTimer(plan.timeoutMs, () => {
      network.counters.add('sometimes: etcd client gave up');
      ended('unknown', null);
    });
    network.onCall(body.type);
    const from = { client: this.#process, place: plan.name, host: this.#stream.pick(hosts) };
    callOnce(
      network,
      from,
      (service, reply) => {
        if (isQuery(body)) service.read({ serializable: false, query: body }, reply);
        else
          service.execute(
            encodeCommand({ type: 'operation', session: null, operation: body }),
            reply,
          );
      },
      (how) => {
        const answer = how.type === 'answered' ? decodeAnswer(how.answer) : null;
        const good = answer?.type === 'error' ? null : answer;
        if (good !== null) judgeAnswer(this.#parts.replay, lane, { asked: body, answer: good });
        ended(endingOf(how, answer), good);
      },
    );
  }
}

function endingOf({ type }: SingleEnd, answer: Answer | null): Ending {
  if (type === 'refused') return 'notApplied';
  if (answer === null) return 'unknown';
  if (answer.type !== 'error') return 'acknowledged';
  const { outcome } = ERRORS[answer.code];
  return outcome === 'applied' ? 'acknowledged' : outcome;
}

function isQuery(body: Asked['body']): body is Query['query'] {
  return body.type === 'range';
}

function rangeOf(key: string): Query['query'] {
  const range = singleKey(utf8Bytes(key));
  return { type: 'range', range, limit: null, revision: null, keysOnly: false, countOnly: false };
}

function operationOf(type: 'get' | 'put' | 'txn' | 'delete', value: string): KvOperation {
  if (type === 'get') return { type, output: null };
  return type === 'delete' ? { type, deleted: null } : { type: 'put', value };
}

/** What a range found under its one key; null: nothing. */
function valueIn(answer: Answer | null): string | null {
  const [kv] = answer?.type === 'range' ? answer.kvs : [];
  return kv === undefined ? null : utf8String(kv.value);
}
