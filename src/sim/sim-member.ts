import type { KvService } from '../api/index.ts';
import type { Log } from '../io/index.ts';
import { InvariantViolation } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import { Member, type MemberOptions } from '../server/index.ts';
import { WalError } from '../wal/index.ts';
import type { Counters } from './counters.ts';
import type { Oracle } from './oracle.ts';
import type { PeerEndpoint, PeerNetwork } from './peer-network.ts';
import type { Planted } from './planted.ts';
import type { Process, Skew } from './process.ts';
import { Device, type DiskSpeed, openDevice } from './sim-disk.ts';
import type { Stream } from './streams.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

/** What all members of a run share. */
export interface MemberParts {
  readonly world: World;
  readonly oracle: Oracle;
  readonly network: PeerNetwork;
  readonly counters: Counters;
  readonly planted: Planted;
  readonly names: ReadonlyMap<MemberId, string>;
  readonly config: Omit<MemberOptions['config'], 'name' | 'memberId' | 'dataDir'>;
  /** Largest deviation of a clock's rate from 1. */
  readonly skewMax: number;
  readonly disk: DiskSpeed;
  /** Length of the log's segments. */
  readonly segmentBytes: number;
  /** A member's process is gone, however it ended. */
  readonly onDied: (process: Process) => void;
}

/** How long a machine without trouble is down. */
const RESTART_MS = 100;

/** How a process ends. */
export type Death =
  | { readonly type: 'kill' }
  /** The machine loses power: each unsynced change survives with probability `keep`. */
  | { readonly type: 'powerCut'; readonly keep: number };

/**
 * A machine with a disk, and on it, most of the time, a process with the production `Member`.
 *
 *   down ──start──▶ starting ──recovered──▶ up ──crash, exit──▶ down        corrupt: for good
 */
export class SimMember {
  readonly id: MemberId;
  readonly name: string;
  readonly device: Device;
  readonly #parts: MemberParts;
  readonly #stream: Stream;
  #process: Process | null = null;
  #member: Member | null = null;
  #service: KvService | null = null;
  #state: 'down' | 'starting' | 'up' | 'corrupt' = 'down';
  #incarnation = 0;
  /** Damage was done to its disk: it may refuse to start. */
  #damaged = false;
  /** Never starts again once it is down. */
  #staysDown = false;
  /** Belongs to the majority that works in the end: never down for long. */
  #mended = false;

  constructor(id: MemberId, parts: MemberParts) {
    this.id = id;
    this.name = parts.names.get(id) ?? '';
    this.#parts = parts;
    this.#stream = parts.world.stream(`member ${this.name}`);
    this.device = new Device(parts.world, this.name, parts.disk);
  }

  get state(): 'down' | 'starting' | 'up' | 'corrupt' {
    return this.#state;
  }

  get process(): Process | null {
    return this.#process;
  }

  /** The member while it is up. */
  get member(): Member | null {
    return this.#state === 'up' ? this.#member : null;
  }

  /** It can be counted on: its disk is whole, as far as anybody knows. */
  get isHealthy(): boolean {
    return !this.#damaged || this.#state === 'up';
  }

  get isLeader(): boolean {
    return this.member?.status().role === 'leader';
  }

  /** What clients find at its address; null while nobody listens. */
  get door(): { process: Process; service: KvService } | null {
    const process = this.#process;
    const service = this.#service;
    if (this.#state !== 'up' || process === null || service === null) return null;
    return { process, service };
  }

  start(): void {
    if (this.#state !== 'down') return;
    const { world, oracle, planted, skewMax } = this.#parts;
    this.#incarnation++;
    const skew: Skew = {
      offsetMs: this.#stream.below(1_000_000),
      rate: 1 + this.#stream.between(-skewMax, skewMax),
    };
    const process = world.process(`${this.name}.${this.#incarnation}`, skew);
    this.#process = process;
    this.#state = 'starting';
    planted.restart?.(this.device);
    oracle.started(this.id);
    const disk = openDevice(world, this.device, process, {
      onDurable: (path, bytes) => {
        if (path.endsWith('.wal')) world.guard(() => oracle.durable(this.id, bytes));
      },
      onCrashAtStep: () => {
        this.#parts.counters.add('fault: crash at a disk step');
        this.crash({ type: 'powerCut', keep: this.#stream.between(0, 1) });
        this.restartAfter(this.#stream.between(10, 2_000));
      },
    });
    const io = {
      clock: process.clock,
      disk: planted.disk?.(disk, process.clock) ?? disk,
      random: process.random,
      log: this.#log(process),
    };
    const config = {
      ...this.#parts.config,
      name: this.name,
      memberId: this.id,
      dataDir: '/data',
    };
    const clientUrls = (): readonly string[] => [`http://${this.name}:1`];
    world.movePromises();
    const walLimits = { segmentBytes: this.#parts.segmentBytes };
    Member.open({ config, io, clientUrls, walLimits }, (error) => this.#exit(process, error)).then(
      (member) => this.#opened(process, member),
      (error: unknown) => this.#exit(process, error),
    );
  }

  /** Ends the process at once. */
  crash(death: Death): void {
    const process = this.#process;
    if (process === null || this.#state === 'down' || this.#state === 'corrupt') return;
    this.#parts.world.trace(process.name, `dies: ${death.type}`);
    this.#end(process);
    if (death.type === 'kill') this.device.afterKill();
    else this.#lose(death.keep);
  }

  /** Ends the process as an operator would: leadership handed over, log closed; then restarts. */
  stop(downMs: number): void {
    const process = this.#process;
    const member = this.member;
    if (process === null || member === null) return;
    const { world } = this.#parts;
    world.movePromises();
    const ended = async (): Promise<void> => {
      await member.handOver();
      await member.close();
    };
    ended().then(
      () => {
        if (!process.alive) return;
        this.#end(process);
        this.device.afterKill();
        this.restartAfter(downMs);
      },
      (error: unknown) => this.#exit(process, error),
    );
  }

  /** Damages what is on the disk of a member that is down. */
  damage(kind: 'bitRot' | 'misdirected'): boolean {
    if (this.#state !== 'down') return false;
    const what = this.device.damage(kind);
    if (what === null) return false;
    this.#damaged = true;
    this.#parts.world.trace(this.name, what);
    return true;
  }

  restartAfter(delayMs: number): void {
    this.#parts.world.after(this.#mended ? RESTART_MS : delayMs, '', () => {
      if (!this.#staysDown) this.start();
    });
  }

  /** Everything about this machine works from now on. */
  mend(): void {
    this.#mended = true;
    this.device.heal();
    this.#process?.resume('ioFirst');
    if (this.#state === 'down') this.start();
  }

  /** Never starts again. */
  stayDown(): void {
    this.#staysDown = true;
  }

  /** Shows the oracle what there is to see. */
  observe(): void {
    const member = this.member;
    if (member !== null) this.#parts.oracle.observe(this.id, member.status());
  }

  #opened(process: Process, member: Member): void {
    if (!process.alive) return;
    const { network, planted, world, names } = this.#parts;
    this.#member = member;
    this.#state = 'up';
    this.#service = planted.service?.(member.service) ?? member.service;
    const handlers = planted.handlers?.(member.handlers) ?? member.handlers;
    const endpoint: PeerEndpoint = { process, handlers };
    network.attach(this.id, endpoint);
    const transport = network.transport(this.id, endpoint, (peer) => ({
      name: names.get(peer) ?? '',
      clientUrls: [`http://${names.get(peer)}:1`],
    }));
    member.connect(planted.transport?.(transport) ?? transport);
    process.afterEvent = () => this.observe();
    world.trace(process.name, 'is up');
    world.guard(() => this.observe());
  }

  /** The process has found a reason to end. */
  #exit(process: Process, error: unknown): void {
    if (!process.alive) return;
    const { world, counters } = this.#parts;
    const reason = error instanceof Error ? error : new Error(String(error));
    world.trace(process.name, `exits: ${reason.message}`);
    this.#end(process);
    this.device.afterKill();
    if (reason instanceof WalError && reason.code === 'CORRUPT' && this.#damaged) {
      counters.add('sometimes: damage found');
      this.#state = 'corrupt';
      return;
    }
    if (!isExpected(reason)) {
      const what =
        reason instanceof Violation
          ? reason
          : new Violation('members stop only for their disk', `${this.name}: ${reason.message}`);
      return world.stop(what);
    }
    counters.add('sometimes: member stopped because of its disk');
    this.device.heal();
    this.restartAfter(this.#stream.between(100, 3_000));
  }

  #end(process: Process): void {
    process.kill();
    this.#state = 'down';
    this.#member = null;
    this.#service = null;
    this.#parts.onDied(process);
  }

  #lose(keep: number): void {
    const unsynced = this.device.afterPowerCut(keep);
    if (unsynced > 0) this.#parts.counters.add('sometimes: power cut during a write');
  }

  #log(process: Process): Log {
    const { world, counters } = this.#parts;
    const line = (message: string): void => {
      if (message.includes('log segment full')) counters.add('sometimes: log segment full');
      if (message.includes('cut off')) counters.add('sometimes: torn tail cut off');
      if (message.includes('stepping down')) {
        counters.add('sometimes: leader with a stalled disk stepped down');
      }
      if (process.alive) world.trace(process.name, message);
    };
    return { debug: line, info: line, warn: line, error: line };
  }
}

function isExpected(reason: Error): boolean {
  if (reason instanceof InvariantViolation) return false;
  if (reason instanceof WalError) return reason.code === 'IO';
  return reason.message.startsWith('the disk has not finished a write');
}
