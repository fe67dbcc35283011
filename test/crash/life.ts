import { type Random, silentLog } from '../../src/io/index.ts';
import { Prng } from '../../src/lib/index.ts';
import type { MemberId } from '../../src/raft/index.ts';
import { VirtualClock } from '../../src/replica/testing/virtual-clock.ts';
import { Member } from '../../src/server/index.ts';
import type { BulkMessage, PeerMessage, Transport } from '../../src/transport/index.ts';
import { type Left, Machine } from './machine.ts';

export const CLUSTER_ID = 0xc1n;
export const SELF: MemberId = 1n;

/** Small enough for segments to fill, states to be flushed and logs to be cut. */
const WAL_LIMITS = { segmentBytes: 28 * 1024 };
const COMPACTION = { entriesMax: 12, bytesMax: 1024 * 1024 };
const TIMING = { tickMs: 10, heartbeatMs: 100, electionTimeoutMs: 1_000, requestTimeoutMs: 5_000 };

/** One process with a production `Member` on a machine, until it is closed or dies. */
export class Life {
  readonly machine: Machine;
  readonly #clock = new VirtualClock();
  /** What has left the member while it lived, oldest first. */
  readonly sent: PeerMessage[] = [];
  #member: Member | null = null;
  #error: Error | null = null;

  private constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Starts a member on what is left of a machine, and lets it do what it does by itself. */
  static async start(
    left: Left,
    { voters, dieAt }: { voters: readonly MemberId[]; dieAt?: number },
  ): Promise<Life> {
    const life = new Life(await Machine.restart(left, dieAt));
    life.#open(voters);
    await life.settle();
    return life;
  }

  /** Whether what happens now is seen by anybody. */
  get isDead(): boolean {
    return this.machine.isDead;
  }

  /** @throws what has ended it. */
  get member(): Member {
    if (this.#error !== null) throw this.#error;
    if (this.#member === null) throw new Error('it has not come up');
    return this.#member;
  }

  /** Lets everything happen that does not wait for time to pass. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 2; ) {
      await new Promise((resolve) => setImmediate(resolve));
      quiet = this.#clock.step(this.#clock.nowMs()) ? 0 : quiet + 1;
    }
  }

  /** A message or a piece of a snapshot reaches it. */
  async hear(message: PeerMessage): Promise<void> {
    if (this.isDead) return;
    const { handlers } = this.member;
    if (isBulk(message)) handlers.onBulk(message);
    else handlers.onMessage(message);
    await this.settle();
  }

  async close(): Promise<void> {
    const closed = this.member.close();
    await this.settle();
    if (!this.isDead) await closed;
  }

  #open(voters: readonly MemberId[]): void {
    const conf = { outgoingVoters: [], learners: [], learnersNext: [], autoLeave: false };
    const failed = (error: Error): void => {
      if (!this.isDead) this.#error ??= error;
    };
    Member.open(
      {
        config: {
          name: 'one',
          clusterId: CLUSTER_ID,
          memberId: SELF,
          dataDir: '/data',
          mayCreateLog: true,
          confState: { voters, ...conf },
          timing: TIMING,
          compaction: COMPACTION,
        },
        io: {
          clock: this.#clock,
          disk: this.machine.disk,
          random: randomOf(new Prng(1)),
          log: silentLog,
        },
        engines: this.machine.engines,
        clientUrls: () => [],
        walLimits: WAL_LIMITS,
      },
      failed,
    ).then((member) => {
      if (this.isDead) return;
      member.connect(this.#transport());
      this.#member = member;
    }, failed);
  }

  #transport(): Transport {
    const keep = (message: PeerMessage): void => {
      if (!this.isDead) this.sent.push(message);
    };
    return {
      address: { host: 'one', port: 1 },
      send: (messages) => messages.forEach(keep),
      sendBulk: (message) => {
        keep(message);
        return true;
      },
      peerInfo: () => null,
      connectedPeers: () => [],
      setPeers() {},
      close: () => Promise.resolve(),
    };
  }
}

function isBulk(message: PeerMessage): message is BulkMessage {
  return ['snapshotChunk', 'snapshotChunkReply', 'stateHash'].includes(message.type);
}

function randomOf(prng: Prng): Random {
  return {
    uint32: () => prng.uint32(),
    bytes: (length) => Uint8Array.from({ length }, () => prng.below(256)),
  };
}
