import { decodeAnswer, decodeCommand, type KvService } from '../api/index.ts';
import type { Disk, Log } from '../io/index.ts';
import { InvariantViolation } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import { Member, type MemberOptions } from '../server/index.ts';
import { StoreError } from '../store/index.ts';
import { WalError } from '../wal/index.ts';
import type { ClientDoor } from './client-network.ts';
import type { Counters } from './counters.ts';
import type { Oracle } from './oracle.ts';
import { watched } from './patience.ts';
import type { PeerEndpoint, PeerNetwork } from './peer-network.ts';
import type { Planted } from './planted.ts';
import type { Process, Skew } from './process.ts';
import type { Recording } from './recording.ts';
import { Device, type DiskSpeed, openDevice } from './sim-disk.ts';
import { type StateDamage, StateDevice } from './sim-engines.ts';
import { type SnapshotPhase, SnapshotWatch } from './snapshot-watch.ts';
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
  readonly recording: Recording | null;
  readonly names: ReadonlyMap<MemberId, string>;
  readonly config: Omit<MemberOptions['config'], 'name' | 'memberId' | 'dataDir'>;
  /** Largest deviation of a clock's rate from 1. */
  readonly skewMax: number;
  readonly disk: DiskSpeed;
  /** Length of the log's segments. */
  readonly segmentBytes: number;
  /** A snapshot on its way into this member has come so far. */
  readonly onSnapshot: (id: MemberId, phase: SnapshotPhase) => void;
  /** A member's process is gone, however it ended. */
  readonly onDied: (process: Process) => void;
}

/** How long a machine without trouble is down. */
const RESTART_MS = 100;
/** A member is far behind when so many committed entries are not in its state. */
const LAG_ENTRIES = 20;

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
  readonly stateDevice: StateDevice;
  readonly #parts: MemberParts;
  readonly #stream: Stream;
  #process: Process | null = null;
  #member: Member | null = null;
  #service: KvService | null = null;
  #state: 'down' | 'starting' | 'up' | 'corrupt' = 'down';
  #incarnation = 0;
  /** Of the present process. */
  #snapshots: SnapshotWatch;
  /** How far others were when it came up, and had come by snapshots; null: not behind. */
  #behind: { readonly index: number; readonly installed: number } | null = null;
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
    this.stateDevice = new StateDevice(parts.world, this.name, this.device);
    this.#snapshots = this.#watchSnapshots();
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
    return !this.stateDevice.isDamaged && (!this.#damaged || this.#state === 'up');
  }

  get isLeader(): boolean {
    return this.member?.status().role === 'leader';
  }

  /** What clients find at its address; null while nobody listens. */
  get door(): ClientDoor | null {
    const process = this.#process;
    const service = this.#service;
    if (this.#state !== 'up' || process === null || service === null) return null;
    return { process, service, onDefect: (error) => this.#exit(process, error) };
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
    this.#record('starting', null);
    this.#snapshots = this.#watchSnapshots();
    planted.restart?.(this.device);
    oracle.started(this.id);
    const disk = this.#openDisk(process);
    const io = {
      clock: process.clock,
      disk: planted.disk?.(disk, process.clock) ?? disk,
      random: process.random,
      log: this.#log(process),
    };
    const engines = this.stateDevice.open(process, (kind) => {
      const when = kind === 'crashBefore' ? 'before' : 'after';
      this.#powerFails(`fault: crash right ${when} a commit`);
    });
    const config = {
      ...this.#parts.config,
      name: this.name,
      memberId: this.id,
      dataDir: '/data',
    };
    const clientUrls = (): readonly string[] => [`http://${this.name}:1`];
    world.movePromises();
    const walLimits = { segmentBytes: this.#parts.segmentBytes };
    const options = { config, io, engines, clientUrls, walLimits };
    Member.open(options, (error) => this.#exit(process, error)).then(
      (member) => this.#opened(process, member),
      (error: unknown) => this.#exit(process, error),
    );
  }

  #openDisk(process: Process): Disk {
    const { world, oracle } = this.#parts;
    return openDevice(world, this.device, process, {
      onDurable: (path, bytes) => {
        if (path.endsWith('.wal')) world.guard(() => oracle.durable(this.id, bytes));
      },
      onRename: (path) => this.#snapshots.renaming(path),
      onRemove: (path) => {
        if (path.endsWith('.wal')) this.#parts.counters.add('sometimes: log cut');
      },
      onCrashAtStep: () => this.#powerFails('fault: crash at a disk step'),
    });
  }

  #powerFails(counter: string): void {
    this.#parts.counters.add(counter);
    this.crash({ type: 'powerCut', keep: this.#stream.between(0, 1) });
    this.restartAfter(this.#stream.between(10, 2_000));
  }

  #watchSnapshots(): SnapshotWatch {
    const { counters, network, onSnapshot } = this.#parts;
    return new SnapshotWatch({
      counters,
      isPartitioned: () => network.isCutOff(this.id),
      onPhase: (phase) => onSnapshot(this.id, phase),
    });
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

  /** Hands leadership over, and goes on. */
  handOver(): void {
    const process = this.#process;
    const member = this.member;
    if (process === null || member === null) return;
    this.#parts.world.movePromises();
    member.handOver().catch((error: unknown) => this.#exit(process, error));
  }

  /** Damages what is on the disk of a member that is down; null: nothing to damage. */
  damage(kind: 'bitRot' | 'misdirected' | StateDamage): string | null {
    if (this.#state !== 'down') return null;
    const isOfLog = kind === 'bitRot' || kind === 'misdirected';
    const what = isOfLog ? this.device.damage(kind) : this.stateDevice.damage(kind);
    if (what !== null) this.#damaged = true;
    return what;
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
    this.stateDevice.heal();
    this.#process?.resume('ioFirst');
    if (this.#state === 'down') this.start();
  }

  /** Never starts again. */
  stayDown(): void {
    this.#staysDown = true;
  }

  /** Shows the oracle what there is to see. */
  observe(): void {
    const { member } = this;
    if (member === null) return;
    const status = member.status();
    const installed = this.#snapshots.installing ? member.flushedIndex : 0;
    this.#parts.oracle.observe(this.id, status, installed);
    this.#record(status.role, status.term);
    if (this.#behind === null || status.appliedIndex < this.#behind.index) return;
    if (this.#snapshots.installed === this.#behind.installed) {
      this.#parts.counters.add('sometimes: laggard caught up by the log alone');
    }
    this.#behind = null;
  }

  /** Looks for commands that are answered with what the session has kept. */
  #expect(bytes: Uint8Array): (answer: Uint8Array) => void {
    const { oracle, counters } = this.#parts;
    const command = decodeCommand(bytes);
    const session = command.type === 'operation' ? command.session : null;
    const isKnown = session !== null && oracle.hasCommitted(session.sessionId, session.seq);
    return (answer) => {
      if (!isKnown || decodeAnswer(answer).type === 'error') return;
      counters.add('sometimes: answered with the kept answer');
    };
  }

  /** What an incarnation finds when it comes up. */
  #look(member: Member): void {
    const { oracle, counters } = this.#parts;
    const { flushedIndex } = member;
    const { committedIndex } = oracle;
    const isFar = committedIndex - member.status().appliedIndex >= LAG_ENTRIES;
    this.#behind = isFar ? { index: committedIndex, installed: 0 } : null;
    if (flushedIndex > 0 && oracle.lastIndexOf(this.id) <= flushedIndex) {
      counters.add('sometimes: started from the state, with nothing in the log');
    }
  }

  #record(role: string, term: number | null): void {
    const { recording, world } = this.#parts;
    recording?.member({ member: this.name, role, term, fromMs: world.nowMs });
  }

  #opened(process: Process, member: Member): void {
    if (!process.alive) return;
    const { network, planted, world, names, config } = this.#parts;
    this.#member = member;
    this.#state = 'up';
    this.#look(member);
    this.#service = watched(planted.service?.(member.service) ?? member.service, {
      onCommand: (command) => this.#expect(command),
      process,
      timeoutMs: config.timing.requestTimeoutMs,
      onSilence: () => {
        world.stop(new Violation('who waits is answered', `${this.name} has forgotten a command`));
      },
    });
    const heard = this.#snapshots.listening(member.handlers);
    const handlers = planted.handlers?.(heard) ?? heard;
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
    if (this.#damaged && isOfDamage(reason)) {
      counters.add('sometimes: damage found');
      this.#state = 'corrupt';
      this.#record('corrupt', null);
      return;
    }
    if (!isExpected(reason)) {
      if (reason instanceof Violation) return world.stop(reason);
      const what = `${this.name}: ${reason.message}`;
      return world.stop(new Violation('members stop only for their disk', what, { cause: reason }));
    }
    counters.add('sometimes: member stopped because of its disk');
    this.device.heal();
    this.stateDevice.heal();
    this.restartAfter(this.#stream.between(100, 3_000));
  }

  #end(process: Process): void {
    process.kill();
    const flushedIndex = this.#member?.flushedIndex ?? 0;
    this.#snapshots.died(flushedIndex > this.#parts.oracle.lastIndexOf(this.id));
    this.#behind = null;
    this.#state = 'down';
    this.#record('down', null);
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
      if (!process.alive) return;
      // What was received so far is about to be removed.
      if (message === 'snapshot: given up') world.movePromises();
      this.#snapshots.line(message);
      world.trace(process.name, message);
    };
    return { debug: line, info: line, warn: line, error: line };
  }
}

/** The reason is that what is stored is not what was written. */
function isOfDamage(reason: unknown): boolean {
  if (reason instanceof WalError || reason instanceof StoreError) {
    return reason.code === 'CORRUPT' || isOfDamage(reason.cause);
  }
  return reason instanceof Error && isOfDamage(reason.cause);
}

function isExpected(reason: Error): boolean {
  if (reason.cause instanceof StoreError) return isExpected(reason.cause);
  if (reason instanceof InvariantViolation) return false;
  if (reason instanceof WalError) return reason.code === 'IO';
  if (reason instanceof StoreError) return reason.code === 'IO' || reason.code === 'FULL';
  return reason.message.startsWith('the disk has not finished a write');
}
