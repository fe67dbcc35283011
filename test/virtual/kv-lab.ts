import type { MemberStatus } from '../../src/api/index.ts';
import { type Clerk, type ClerkOptions, createClerk } from '../../src/client/index.ts';
import { silentLog } from '../../src/io/index.ts';
import { Prng } from '../../src/lib/index.ts';
import type { MemberId } from '../../src/raft/index.ts';
import { VirtualClock } from '../../src/replica/testing/virtual-clock.ts';
import { Member, type MemberOptions } from '../../src/server/index.ts';
import { type MemoryEngines, memoryEngines } from '../../src/store/index.ts';
import type { BulkMessage, Transport } from '../../src/transport/index.ts';
import { ClientLinks } from './client-links.ts';
import { LabDisk } from './lab-disk.ts';
import { LabNetwork } from './network.ts';
import { LabProcess, type ProcessWorld } from './process.ts';

/** The lab's clerks retry for ever; ours get a deadline that no healthy run reaches. */
export const PATIENCE_MS = 120_000;

const TIMING = { tickMs: 10, heartbeatMs: 100, electionTimeoutMs: 500, requestTimeoutMs: 5_000 };

/** How long a commit of the state takes, milliseconds. */
const COMMIT_MS_MIN = 1;
const COMMIT_MS_SPREAD = 4;

/** What a lab may differ in. Default: the production bounds, which no test reaches. */
export interface KvLabOptions {
  readonly compaction?: NonNullable<MemberOptions['config']['compaction']>;
  readonly walLimits?: NonNullable<MemberOptions['walLimits']>;
  /** A member whose log takes more bytes on its disk ends the test. Default: none does. */
  readonly logBytesMax?: number;
}

/** How long after a fatal chunk its receiver dies, and how long it is down, milliseconds. */
const FATAL_MS_MAX = 15;
const DOWN_MS_MAX = 400;

/** How often the logs are measured, milliseconds. */
const MEASURE_MS = 2;

/** What a member is sent when it is too far behind. */
export interface Transfers {
  /** Begun with a first piece. */
  readonly begun: number;
  /** Confirmed by who received it. */
  readonly installed: number;
  /** Bytes of the last one that was sent to its end. */
  readonly bytes: number;
}

/** A machine: the disk stays when the process dies. */
interface Machine {
  readonly id: MemberId;
  readonly host: string;
  readonly disk: LabDisk;
  /** The part of the disk that holds the state; a commit survives wholly or not at all. */
  readonly engines: MemoryEngines;
  process: LabProcess | null;
  member: Member | null;
  /** Its log was made durably: it must never be made again. */
  founded: boolean;
}

/**
 * Production members and production clerks on virtual time. Test bodies are ordinary asynchronous
 * code; `drive` lets time pass for them, one event at a time, and settles all promises in between.
 */
export class KvLab {
  readonly clock = new VirtualClock();
  readonly prng: Prng;
  readonly network: LabNetwork;
  readonly links: ClientLinks;
  readonly #machines: readonly Machine[];
  readonly #world: ProcessWorld;
  readonly #options: KvLabOptions;
  #transfers = { begun: 0, installed: 0, bytes: 0 };
  /** The transfer under way to each member: bytes sent so far. */
  readonly #sentTo = new Map<MemberId, number>();
  #logBytesMost = 0;
  /** Probability that a chunk costs its receiver the power before it is done with it. */
  #fatality = 0;
  #clerks = 0;
  #promisesMoved = true;
  #failure: Error | null = null;

  constructor(size: number, seed: number, options: KvLabOptions = {}) {
    const { clock } = this;
    this.#options = options;
    this.prng = new Prng(seed);
    this.#world = {
      clock,
      prng: this.prng,
      settleSoon: () => {
        this.#promisesMoved = true;
      },
    };
    this.network = new LabNetwork({
      clock,
      prng: this.prng,
      deliver: (message) => {
        const { process, member } = this.#at(message.to);
        if (process?.alive === true) member?.handlers.onMessage(message);
      },
      deliverBulk: (message) => {
        const { process, member } = this.#at(message.to);
        if (process?.alive === true) member?.handlers.onBulk(message);
      },
    });
    this.links = new ClientLinks({
      clock,
      prng: this.prng,
      door: (host) => {
        const machine = this.#machines.find((each) => each.host === host);
        const { process = null, member = null } = machine ?? {};
        return process === null || member === null ? null : { process, service: member.service };
      },
    });
    this.#machines = Array.from({ length: size }, (_, i) => ({
      id: BigInt(i + 1),
      host: `m${i + 1}`,
      disk: new LabDisk(this.prng),
      engines: memoryEngines(),
      process: null,
      member: null,
      founded: false,
    }));
    this.network.onSendBulk = (message) => this.#note(message);
    for (const machine of this.#machines) this.#start(machine);
    if (options.logBytesMax !== undefined) this.#measureLogs(options.logBytesMax);
  }

  /** Numbers of all members, from 0. */
  get all(): number[] {
    return this.#machines.map((_, i) => i);
  }

  get nowMs(): number {
    return this.clock.nowMs();
  }

  /** Snapshots sent between members so far. */
  get transfers(): Transfers {
    return this.#transfers;
  }

  /** The most that a member's log took on its disk so far, in bytes. */
  get logBytesMost(): number {
    return this.#logBytesMost;
  }

  /**
   * Lets time pass until the work is done.
   * @throws what the work throws, what a member died of, or that nothing ended within `limitMs`.
   */
  async drive<T>(work: Promise<T>, limitMs = 300_000): Promise<T> {
    const progress = { ended: false };
    const end = (): void => {
      progress.ended = true;
    };
    work.then(end, end);
    const endMs = this.nowMs + limitMs;
    for (;;) {
      if (this.#promisesMoved) await this.#settle();
      if (this.#failure !== null) throw this.#failure;
      if (progress.ended) return work;
      if (!this.clock.step(endMs)) throw new Error(`not done within ${limitMs} virtual ms`);
    }
  }

  /** A pause of the test's own code. */
  sleep(durationMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.setTimer(durationMs, () => {
        this.#promisesMoved = true;
        resolve();
      });
    });
  }

  /** A clerk in a process of its own; it does not see the `unseen` members until the heal. */
  async clerk(unseen: readonly number[] = [], options: Partial<ClerkOptions> = {}): Promise<Clerk> {
    const { clerk } = await this.application(unseen, options);
    return clerk;
  }

  /** A clerk whose process can be killed: it then neither sends nor learns anything any more. */
  async application(
    unseen: readonly number[] = [],
    options: Partial<ClerkOptions> = {},
  ): Promise<{ clerk: Clerk; kill: () => void; silence: (members: readonly number[]) => void }> {
    const name = `clerk ${++this.#clerks}`;
    const silence = (members: readonly number[]): void => {
      for (const i of members) this.links.silence(name, this.#machine(i).host);
    };
    silence(unseen);
    const process = new LabProcess(this.#world);
    const { clock, random } = process;
    const clerk = await createClerk(
      {
        endpoints: this.#machines.map(({ host }) => `${host}:1`),
        requestTimeoutMs: PATIENCE_MS,
        ...options,
      },
      { clock, random, channels: this.links.channels(name, process) },
    );
    const kill = (): void => {
      process.kill();
      this.links.died(process);
    };
    return { clerk, kill, silence };
  }

  status(i: number): MemberStatus | null {
    return this.#machine(i).member?.status() ?? null;
  }

  /** The leader of the highest term; waits for one. */
  leader(): Promise<number> {
    return this.until(() => {
      const leaders = this.all.filter((i) => this.status(i)?.role === 'leader');
      return leaders.sort((a, b) => this.#term(b) - this.#term(a))[0] ?? null;
    }, 'a leader');
  }

  async until<T>(ask: () => T | null, what: string, limitMs = 20_000): Promise<T> {
    const endMs = this.nowMs + limitMs;
    for (;;) {
      const answer = ask();
      if (answer !== null) return answer;
      if (this.nowMs >= endMs) throw new Error(`no ${what} within ${limitMs} virtual ms`);
      await this.sleep(10);
    }
  }

  // ── faults ───────────────────────────────────────────────────────────────────────────────────

  /** Power loss. */
  crash(...members: readonly number[]): void {
    for (const i of members) {
      const machine = this.#machine(i);
      const { process } = machine;
      if (process === null) continue;
      process.kill();
      machine.process = null;
      machine.member = null;
      machine.disk.cutPower();
      this.links.died(process);
    }
  }

  restart(...members: readonly number[]): void {
    this.crash(...members);
    for (const i of members) this.#start(this.#machine(i));
  }

  /** Whoever receives a snapshot loses power with this probability a chunk; it comes back. */
  killReceivers(fatality: number): void {
    this.#fatality = fatality;
  }

  partition(groups: readonly (readonly number[])[]): void {
    this.network.partition(groups.map((group) => group.map((i) => this.#machine(i).id)));
  }

  /** Every member on a random side; clerks keep all their links. */
  partitionAtRandom(): void {
    const left = this.all.filter(() => this.prng.chance(0.5));
    this.partition([left, this.all.filter((i) => !left.includes(i))]);
  }

  setUnreliable(unreliable: boolean, longReordering = false): void {
    this.network.quality = { unreliable, longReordering };
    this.links.quality = { unreliable, longReordering };
  }

  healAll(): void {
    this.setUnreliable(false);
    this.killReceivers(0);
    this.network.healLinks();
    this.links.healAll();
  }

  /** Waits until every member has applied the same index; their states must then be equal. */
  async agreement(): Promise<void> {
    const statuses = await this.until(() => {
      const each = this.all.map((i) => this.status(i)).filter((status) => status !== null);
      const applied = new Set(each.map((status) => status.appliedIndex));
      return each.length === this.all.length && applied.size === 1 ? each : null;
    }, 'equal members');
    const hashes = new Set(statuses.map((status) => status.stateHash));
    if (hashes.size > 1) throw new Error(`replicas differ: ${[...hashes]}`);
  }

  // ── inside ───────────────────────────────────────────────────────────────────────────────────

  #start(machine: Machine): void {
    const process = new LabProcess(this.#world);
    machine.process = process;
    const { id, host, disk, engines } = machine;
    const { compaction, walLimits = {} } = this.#options;
    const confState = {
      voters: this.#machines.map((each) => each.id),
      outgoingVoters: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    };
    const { clock, random } = process;
    this.#promisesMoved = true;
    Member.open(
      {
        config: {
          name: host,
          clusterId: 0xc1n,
          memberId: id,
          dataDir: '/data',
          mayCreateLog: !machine.founded,
          confState,
          timing: TIMING,
          ...(compaction === undefined ? {} : { compaction }),
        },
        engines: engines.with({
          defer: (run) =>
            void clock.setTimer(COMMIT_MS_MIN + this.prng.below(COMMIT_MS_SPREAD + 1), run),
        }),
        walLimits,
        io: { clock, random, disk: disk.openedBy(process), log: silentLog },
        clientUrls: () => [`http://${host}:1`],
      },
      (error) => this.#fail(process, error),
    ).then(
      (member) => {
        if (!process.alive) return;
        machine.member = member;
        machine.founded = true;
        member.connect(this.#transport(id, process));
      },
      (error: unknown) => this.#fail(process, error),
    );
  }

  #transport(id: MemberId, process: LabProcess): Transport {
    const isConnected = (to: MemberId): boolean =>
      to !== id && this.network.isOpen(id, to) && this.#at(to).member !== null;
    return {
      address: { host: this.#at(id).host, port: 2 },
      send: (messages) => {
        if (process.alive) this.network.send(messages);
      },
      sendBulk: (message) => process.alive && this.network.sendBulk(message),
      peerInfo: (peer) => ({
        name: this.#at(peer).host,
        clientUrls: [`http://${this.#at(peer).host}:1`],
      }),
      connectedPeers: () =>
        this.#machines.map((machine) => machine.id).filter((peer) => isConnected(peer)),
      setPeers: () => {},
      close: () => Promise.resolve(),
    };
  }

  #note(message: BulkMessage): void {
    const transfers = this.#transfers;
    if (message.type === 'snapshotChunkReply') {
      if (message.status === 'installed') transfers.installed++;
      return;
    }
    if (message.type !== 'snapshotChunk') return;
    const { to, sequence, last, data } = message;
    if (sequence === 0) transfers.begun++;
    const bytes = data.length + (sequence === 0 ? 0 : (this.#sentTo.get(to) ?? 0));
    this.#sentTo.set(to, bytes);
    if (last) transfers.bytes = bytes;
    if (this.#fatality === 0 || !this.prng.chance(this.#fatality)) return;
    const i = Number(to) - 1;
    this.clock.setTimer(this.prng.below(FATAL_MS_MAX), () => {
      if (this.#machine(i).process === null) return;
      this.crash(i);
      this.clock.setTimer(this.prng.below(DOWN_MS_MAX), () => {
        if (this.#machine(i).process === null) this.#start(this.#machine(i));
      });
    });
  }

  #measureLogs(bytesMax: number): void {
    for (const i of this.all) {
      const bytes = this.status(i)?.logBytes ?? 0;
      this.#logBytesMost = Math.max(this.#logBytesMost, bytes);
      if (bytes > bytesMax) this.#failure ??= new Error(`log of member ${i}: ${bytes} bytes`);
    }
    this.clock.setTimer(MEASURE_MS, () => this.#measureLogs(bytesMax));
  }

  #fail(process: LabProcess, error: unknown): void {
    if (process.alive) this.#failure ??= error instanceof Error ? error : new Error(String(error));
  }

  /** A turn of the real event loop: every promise that can go on goes on before it ends. */
  async #settle(): Promise<void> {
    while (this.#promisesMoved) {
      this.#promisesMoved = false;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  #term(i: number): number {
    return this.status(i)?.term ?? 0;
  }

  #at(id: MemberId): Machine {
    return this.#machine(Number(id) - 1);
  }

  #machine(i: number): Machine {
    const machine = this.#machines[i];
    if (machine === undefined) throw new Error(`there is no member ${i}`);
    return machine;
  }
}
