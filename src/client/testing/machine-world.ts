import type { Operation } from '../../api/index.ts';
import { putOf } from '../request.ts';
import type { Watch, WatchBatch } from '../watch.ts';
import { MachineBackend } from './machine-backend.ts';
import { World } from './world.ts';

/** Three pretended members on the real state machine. */
export class MachineWorld extends World {
  readonly backend: MachineBackend;

  constructor(seed = 1) {
    let backend: MachineBackend | null = null;
    super({
      seed,
      backend: (clock) => {
        backend = new MachineBackend(clock);
        return backend;
      },
    });
    if (backend === null) throw new Error('no backend was asked for');
    this.backend = backend;
  }

  /** Somebody else puts a key. */
  put(key: string, value = ''): void {
    this.backend.change(putOf(key, value, {}));
  }

  change(...operations: Operation[]): void {
    this.backend.change(...operations);
  }

  /** The leader dies and the next member leads. */
  failOver(): void {
    const { cluster } = this;
    const next = ((cluster.leader ?? 0) + 1) % cluster.members.length;
    if (cluster.leader !== null) cluster.kill(cluster.leader);
    cluster.member(next).condition = 'up';
    cluster.leader = next;
  }
}

/** The next batch. */
export async function batchOf(watch: Watch): Promise<WatchBatch> {
  const { value, done } = await watch.next();
  if (done === true) throw new Error('the watch has ended');
  return value;
}

/** Every put value, and `-key` for every deletion, until there are `count`. */
export async function wordsOf(watch: Watch, count: number): Promise<string[]> {
  const words: string[] = [];
  while (words.length < count) {
    for (const event of (await batchOf(watch)).events) {
      words.push(event.type === 'put' ? event.entry.value : `-${event.key}`);
    }
  }
  return words;
}
