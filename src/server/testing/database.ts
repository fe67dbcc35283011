import { createHash } from 'node:crypto';
import { type Answer, decodeAnswer, encodeCommand, type Operation } from '../../api/index.ts';
import { memoryDisk, systemClock } from '../../io/index.ts';
import { KvStateMachine } from '../../kv/index.ts';
import { compareBytes, type Prng, utf8Bytes } from '../../lib/index.ts';
import { type DurableStore, durableStore, type Engine, memoryEngines } from '../../store/index.ts';
import { exportDatabase } from '../snapshot-export.ts';

/** A state machine on an engine in memory, with a log that the test writes. */
export class MachineWorld {
  readonly engine: Engine;
  readonly store: DurableStore;
  readonly machine: KvStateMachine;
  #index: number;

  private constructor(engine: Engine) {
    this.engine = engine;
    this.store = durableStore(engine);
    this.machine = new KvStateMachine({ store: this.store });
    this.#index = this.machine.position.index;
  }

  /** On a new engine, which `fill` may put something into first. */
  static async make(fill: (engine: Engine) => Promise<unknown> = async () => {}) {
    const engine = await memoryEngines().open('world', { create: true });
    await fill(engine);
    return new MachineWorld(engine);
  }

  /** Applies operations as one entry of the log, in term 7. */
  apply(...operations: Operation[]): Answer[] {
    const commands = operations.map((operation) =>
      encodeCommand({ type: 'operation', session: null, operation }),
    );
    const batch = { index: ++this.#index, term: 7, timeMs: 1_000_000, conf: null, commands };
    return this.machine.apply(batch).map(decodeAnswer);
  }

  /** Applies empty entries until all is removed that is compacted. */
  compactToTheEnd(): void {
    while (this.machine.compacting) this.apply();
  }

  flush(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.store.flush((error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** As a file of etcd's, with its SHA-256. */
  async database(): Promise<Buffer> {
    await this.flush();
    const file = await exportDatabase({
      disk: memoryDisk(),
      clock: systemClock,
      directory: '/data',
      view: this.engine.view(),
      members: [],
      signal: new AbortController().signal,
    });
    const bytes = await file.read({ offset: 0, length: file.bytes });
    await file.close();
    return Buffer.concat([bytes, createHash('sha256').update(bytes).digest()]);
  }

  /** The keys at each revision that is left. */
  revisions(): Answer[] {
    const { revision, compactRevision } = this.machine;
    const answers: Answer[] = [];
    for (let at = Math.max(1, compactRevision); at <= revision; at++) answers.push(this.#all(at));
    return answers;
  }

  /** Ids of those that there are. */
  leases(): readonly bigint[] {
    const answer = this.#query({ type: 'leases' });
    return answer.type === 'leases' ? answer.leases : [];
  }

  /** All that reads can tell, in lines: revisions, changes, leases and their keys. */
  content(): string {
    const { revision, compactRevision } = this.machine;
    const { events } = this.machine.changes({
      from: compactRevision + 1,
      range: ALL,
      prevKv: true,
      changesMax: Number.MAX_SAFE_INTEGER,
      bytesMax: Number.MAX_SAFE_INTEGER,
    });
    const leases = this.leases().map((lease) => {
      const answer = this.#query({ type: 'leaseTimeToLive', lease, keys: true });
      // How much is left of it is the log's affair.
      return { ...answer, remainingMs: 0 };
    });
    const lines = [{ revision, compactRevision }, ...this.revisions(), ...events, ...leases];
    return lines.map(shown).join('\n');
  }

  #all(revision: number): Answer {
    const options = { limit: null, keysOnly: false, countOnly: false };
    return this.#query({ type: 'range', range: ALL, revision, ...options });
  }

  #query(query: Parameters<KvStateMachine['query']>[0]['query']): Answer {
    return decodeAnswer(this.machine.query({ serializable: true, query }));
  }
}

function shown(value: object): string {
  return JSON.stringify(value, (_name, each) => {
    if (typeof each === 'bigint') return `${each}n`;
    return each instanceof Uint8Array ? Buffer.from(each).toString('latin1') : each;
  });
}

const ALL = { from: new Uint8Array(0), to: null } as const;

/** Operations by a seed, on few keys and leases; compactions now and then, if wanted. */
export function randomOperation(prng: Prng, world: MachineWorld, compacts: boolean): Operation {
  const roll = prng.below(100);
  const key = () => utf8Bytes(`key-${prng.below(30)}`);
  const lease = () => BigInt(1 + prng.below(4));
  const put = () => ({
    type: 'put' as const,
    key: key(),
    value: new Uint8Array(prng.below(prng.below(30) === 0 ? 9_000 : 50)).fill(prng.below(256)),
    prevKv: false,
    ...(prng.below(3) === 0 ? { lease: lease() } : {}),
  });
  const span = () => {
    const [from, to] = [key(), key()].sort(compareBytes);
    return { from: from as Uint8Array, to: to as Uint8Array };
  };
  if (roll < 60) return put();
  if (roll < 70) return { type: 'delete', range: span(), prevKv: false };
  if (roll < 84) return { type: 'txn', compares: [], success: [put(), put()], failure: [] };
  if (roll < 90)
    return { type: 'leaseGrant', lease: lease(), ttlMs: 1_000 * (5_000 + prng.below(9)) };
  if (roll < 92) return { type: 'leaseRevoke', lease: lease() };
  if (roll > 95 && compacts && world.machine.revision > 3) {
    return { type: 'compact', revision: world.machine.revision - prng.below(3) };
  }
  return { type: 'append', key: key(), value: utf8Bytes('more') };
}
