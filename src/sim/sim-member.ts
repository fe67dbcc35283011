import { decodeAnswer, decodeCommand } from '../api/index.ts';
import type { Clock, Disk, Log } from '../io/index.ts';
import type { MemberId } from '../raft/index.ts';
import { type Member, type MemberOptions, openMember } from '../server/index.ts';
import { askLinks } from './asking.ts';
import type { ClientDoor } from './client-network.ts';
import type { Counters } from './counters.ts';
import { Holdings, holdingClock } from './holdings.ts';
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
import { countersOf, isExpected, isOfDamage, isOfLostEntries } from './utterances.ts';
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

/** What a disk held at one moment. */
export interface DiskCopy {
  /** No entry of the log that it holds was replaced since. */
  isPrefix(): boolean;
  /** The disk is again as it was. */
  restore(): void;
}

/**
 * A machine with a disk, and on it, most of the time, a process with the production `Member`.
 *
 *   down ──start──▶ starting ──recovered──▶ up ──crash, exit──▶ down
 *
 * Who finds its disk empty or damaged is `starting` for as long as it asks the others. Its operator
 * takes a disk away that it can't go on with, and starts it with an empty one.
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
  #door: ClientDoor | null = null;
  #state: 'down' | 'starting' | 'up' = 'down';
  #incarnation = 0;
  /** Of the present process. */
  #snapshots: SnapshotWatch;
  /** What the present process has not given back. */
  #holdings = new Holdings();
  /** The process that was told to do something by its operator; the one that was told to stop. */
  #operated: Process | null = null;
  #stopping: Process | null = null;
  /** How far others were when it came up, and had come by snapshots; null: not behind. */
  #behind: { readonly index: number; readonly installed: number } | null = null;
  /**
   * How far the log went when something was done to its disk: it may have forgotten what it
   * promised until it holds all of that. Null: it has forgotten nothing. All begin with an empty
   * disk.
   */
  #forgottenUpTo: number | null = 0;
  /** Its disk was set back: it may find out by itself. */
  #isRolledBack = false;
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

  get state(): 'down' | 'starting' | 'up' {
    return this.#state;
  }

  get process(): Process | null {
    return this.#process;
  }

  /** The member while it is up. */
  get member(): Member | null {
    return this.#state === 'up' ? this.#member : null;
  }

  /** It can be counted on: it keeps what it promised, as far as anybody knows. */
  get isHealthy(): boolean {
    return !this.stateDevice.isDamaged && this.#forgottenUpTo === null;
  }

  get isLeader(): boolean {
    return this.member?.status().role === 'leader';
  }

  /** What clients find at its address; null while nobody listens. */
  get door(): ClientDoor | null {
    return this.#state === 'up' ? this.#door : null;
  }

  start(): void {
    if (this.#state !== 'down') return;
    const { world, oracle, network, planted, skewMax } = this.#parts;
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
    const holdings = new Holdings();
    this.#holdings = holdings;
    planted.restart?.(this.device);
    oracle.started(this.id);
    const disk = this.#openDisk(process, holdings);
    const io = {
      clock: holdingClock(this.#clockOf(process), holdings),
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
    const openLink = askLinks(this.id, { world, network, process, holdings });
    const options = { config, io, engines, clientUrls, walLimits, openLink };
    openMember(options, (error) => this.#exit(process, error)).then(
      (member) => this.#opened(process, member),
      (error: unknown) => this.#exit(process, error),
    );
  }

  /** What waits for timers while it starts, or does what an operator wants, are promises. */
  #clockOf(process: Process): Clock {
    const { clock } = process;
    return {
      nowMs: () => clock.nowMs(),
      wallMs: () => clock.wallMs(),
      defer: (run) => clock.defer(run),
      setTimer: (delayMs, run) =>
        clock.setTimer(delayMs, () => {
          if (this.#state === 'starting' || this.#operated === process)
            this.#parts.world.movePromises();
          run();
        }),
    };
  }

  #openDisk(process: Process, holdings: Holdings): Disk {
    const { world, oracle } = this.#parts;
    return openDevice(world, this.device, process, {
      onDurable: (path, bytes) => {
        if (path.endsWith('.wal')) world.guard(() => oracle.durable(this.id, bytes));
      },
      onRename: (path, bytes) => {
        this.#snapshots.renaming(path);
        if (path.endsWith('.wal')) world.guard(() => oracle.named(this.id, bytes()));
      },
      onRemove: (path) => {
        if (path.endsWith('.wal')) this.#parts.counters.add('sometimes: log cut');
      },
      onCrashAtStep: () => this.#powerFails('fault: crash at a disk step'),
      onOpen: (what) => holdings.hold(what),
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
    if (process === null || this.#state === 'down') return;
    this.#parts.world.trace(process.name, `dies: ${death.type}`);
    this.#end(process);
    if (death.type === 'kill') return this.device.afterKill();
    const unsynced = this.device.afterPowerCut(death.keep);
    if (unsynced > 0) this.#parts.counters.add('sometimes: power cut during a write');
  }

  /** Ends the process as an operator would: leadership handed over, log closed; then restarts. */
  stop(downMs: number): void {
    const end = (member: Member): Promise<void> => member.handOver().then(() => member.close());
    this.#stopping = this.#process;
    this.#operate(end, (process) => {
      this.#checkHoldings();
      this.#end(process);
      this.device.afterKill();
      this.restartAfter(downMs);
    });
  }

  /** Hands leadership over, and goes on. */
  handOver(): void {
    this.#operate((member) => member.handOver());
  }

  #operate(work: (member: Member) => Promise<void>, done?: (process: Process) => void): void {
    const process = this.#process;
    const member = this.member;
    if (process === null || member === null) return;
    this.#operated = process;
    this.#parts.world.movePromises();
    work(member).then(
      () => process.alive && done?.(process),
      (error: unknown) => this.#exit(process, error),
    );
  }

  /** Who has closed everything would keep for ever what it holds now. */
  #checkHoldings(): void {
    const { left } = this.#holdings;
    if (left.length === 0) return;
    const what = `${this.name} still holds ${left.join(', ')}`;
    this.#parts.world.stop(new Violation('who closes leaves nothing behind', what));
  }

  /** Damages what is on the disk of a member that is down; null: nothing to damage. */
  damage(kind: 'bitRot' | 'misdirected' | StateDamage): string | null {
    if (this.#state !== 'down') return null;
    const isOfLog = kind === 'bitRot' || kind === 'misdirected';
    const what = isOfLog ? this.device.damage(kind) : this.stateDevice.damage(kind);
    if (what !== null) this.#mayForget();
    return what;
  }

  /** Gives a member that is down an empty disk. */
  wipe(): void {
    this.#mayForget();
    this.#isRolledBack = false;
    this.device.replace();
    this.stateDevice.replace();
  }

  /** Copies the disk as it is, to be given to the member again when it is down. */
  copyDisk(): DiskCopy {
    const { oracle } = this.#parts;
    const image = this.device.copy();
    const engines = this.stateDevice.copy();
    const shadow = oracle.copyOf(this.id);
    return {
      isPrefix: () => oracle.isPrefix(this.id, shadow),
      restore: () => {
        this.#mayForget();
        this.#isRolledBack = true;
        oracle.rollBack(this.id, shadow);
        this.device.replace(image);
        this.stateDevice.replace(engines);
      },
    };
  }

  #mayForget(): void {
    const { oracle } = this.#parts;
    this.#forgottenUpTo = Math.max(oracle.committedIndex, oracle.lastIndexOf(this.id));
    oracle.lost(this.id);
  }

  /** Notices when the others have brought it up. */
  #remember(): void {
    const { oracle, counters } = this.#parts;
    const upTo = this.#forgottenUpTo;
    if (upTo === null || !oracle.isWhole(this.id, upTo)) return;
    this.#forgottenUpTo = null;
    if (this.#isRolledBack) counters.add('sometimes: rolled-back member caught up');
    this.#isRolledBack = false;
  }

  restartAfter(delayMs: number): void {
    this.#parts.world.after(this.#mended ? RESTART_MS : delayMs, '', () => {
      if (!this.#staysDown) this.start();
    });
  }

  /** Everything about this machine works from now on. */
  mend(): void {
    this.#mended = true;
    // It may wait for a slow commit, and answers nobody: its operator loses patience.
    if (this.#stopping !== null && this.#stopping === this.#process) this.crash({ type: 'kill' });
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
    this.#remember();
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
    const { network, oracle, planted, world, names, config } = this.#parts;
    this.stateDevice.opened();
    if (!this.stateDevice.isDamaged) oracle.inUse(this.id);
    this.#member = member;
    this.#state = 'up';
    this.#look(member);
    const watching = {
      onCommand: (command: Uint8Array) => this.#expect(command),
      process,
      timeoutMs: config.timing.requestTimeoutMs,
      onSilence: () => {
        world.stop(new Violation('who waits is answered', `${this.name} has forgotten a request`));
      },
    };
    this.#door = {
      process,
      onDefect: (error) => this.#exit(process, error),
      service: watched(planted.service?.(member.service) ?? member.service, watching),
      etcd: watched(member.etcd.service, watching),
    };
    const heard = this.#snapshots.listening(member.handlers);
    const handlers = planted.handlers?.(heard) ?? heard;
    const onDefect = (error: Error): void => this.#exit(process, error);
    const endpoint: PeerEndpoint = { process, handlers, onDefect };
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
    if (this.#isDiskGivenUp(reason)) {
      this.wipe();
      return this.restartAfter(this.#stream.between(100, 3_000));
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

  /** Its operator follows the advice that it gives, and starts it with an empty disk. */
  #isDiskGivenUp(reason: Error): boolean {
    const { counters } = this.#parts;
    if (this.stateDevice.isDamaged && isOfDamage(reason)) {
      counters.add('sometimes: damaged state given up');
      return true;
    }
    if (!this.#isRolledBack || !isOfLostEntries(reason)) return false;
    counters.add('sometimes: rolled-back member stopped');
    return true;
  }

  #end(process: Process): void {
    process.kill();
    const flushedIndex = this.#member?.flushedIndex ?? 0;
    this.#snapshots.died(flushedIndex > this.#parts.oracle.lastIndexOf(this.id));
    this.#behind = null;
    this.#state = 'down';
    this.#record('down', null);
    this.#member = null;
    this.#door = null;
    this.#parts.onDied(process);
  }

  #log(process: Process): Log {
    const { world, counters } = this.#parts;
    const line = (message: string): void => {
      for (const counter of countersOf(message)) counters.add(counter);
      if (!process.alive) return;
      // What was received so far is about to be removed.
      if (message === 'snapshot: given up') world.movePromises();
      this.#snapshots.line(message);
      world.trace(process.name, message);
    };
    return { debug: line, info: line, warn: line, error: line };
  }
}
