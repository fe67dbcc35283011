import type { KvService, LeaderHint, MemberStatus } from '../api/index.ts';
import type { DatabaseFile, EtcdMember } from '../etcd/index.ts';
import { GrpcError } from '../grpc/index.ts';
import type { Io } from '../io/index.ts';
import { deferred, unreachable } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import { Replica, type ReplicaStatus } from '../replica/index.ts';
import { type Engines, StoreError } from '../store/index.ts';
import type { BulkMessage, Transport, TransportHandlers } from '../transport/index.ts';
import { openWal, type Wal, type WalLimits } from '../wal/index.ts';
import type { ServerConfig } from './config.ts';
import { Divergence } from './divergence.ts';
import { etcdMember } from './etcd-member.ts';
import { MemberFeed } from './feed.ts';
import type { Forwarder } from './forwarder.ts';
import { Housekeeping } from './housekeeping.ts';
import {
  createForwarder,
  createService,
  type MemberService,
  type ServiceParts,
} from './service.ts';
import { exportDatabase } from './snapshot-export.ts';
import type { OpenedSnapshot, SnapshotSource } from './snapshot-service.ts';
import { MemberState, type StateTimers } from './state.ts';
import { VERSION } from './version.ts';

/** What a member needs of its configuration, and of the outside world. */
export interface MemberOptions {
  readonly config: Pick<
    ServerConfig,
    'name' | 'clusterId' | 'memberId' | 'dataDir' | 'mayCreateLog' | 'confState' | 'timing'
  > &
    Partial<
      Pick<
        ServerConfig,
        'quotaBytes' | 'autoCompaction' | 'compaction' | 'members' | 'scrubIntervalMs'
      >
    >;
  readonly io: Pick<Io, 'clock' | 'disk' | 'log' | 'random'>;
  /** What keeps the state's rows. */
  readonly engines: Engines;
  /** How clients reach this member; asked whenever somebody wants to know. */
  readonly clientUrls: () => readonly string[];
  /** Default WAL_LIMITS. */
  readonly walLimits?: Partial<WalLimits>;
  /** Default: nothing of the state is timed. */
  readonly timers?: StateTimers;
}

/**
 * One member without its doors: log, replica, state machine and service. `startServer` puts sockets
 * around it, a simulator puts something else there.
 */
export class Member implements SnapshotSource {
  /** As clients of etcd see it. */
  readonly etcd: EtcdMember;
  /** For the transport to call. */
  readonly handlers: TransportHandlers;
  readonly #options: MemberOptions;
  readonly #wal: Wal;
  readonly #replica: Replica;
  readonly #state: MemberState;
  readonly #housekeeping: Housekeeping;
  readonly #divergence: Divergence;
  readonly #service: MemberService;
  readonly #forwarder: Forwarder;
  /** Says why, and stops. */
  readonly #stopFor: (error: Error) => void;
  readonly #ready = deferred<void>();
  #transport: Transport | null = null;
  #closing: Promise<void> | null = null;
  /** While it waits for another one to lead. */
  #handingOver: Promise<void> | null = null;
  #leader: MemberId | null = null;
  #leaderChanges = 0;
  #failedProposals = 0;

  private constructor(
    options: MemberOptions,
    { state, wal }: { state: MemberState; wal: Wal },
    onFailure: (error: Error) => void,
  ) {
    this.#options = options;
    this.#state = state;
    this.#wal = wal;
    const { config, io } = options;
    this.#stopFor = (error) => {
      io.log.error(`this member stops: ${error.message}`);
      onFailure(error);
    };
    this.#replica = new Replica({
      id: config.memberId,
      wal,
      stateMachine: state,
      send: (messages) => this.#transport?.send(messages),
      sendBulk: (message) => this.#transport?.sendBulk(message) ?? false,
      clock: io.clock,
      random: io.random,
      log: io.log,
      timing: config.timing,
      compaction: config.compaction ?? {},
      onChange: (status) => this.#reportChange(status),
      onFailure,
    });
    this.#divergence = new Divergence({
      memberId: config.memberId,
      voters: config.confState.voters,
      clock: io.clock,
      log: io.log,
      stateHash: () => state.machine.stateHash(),
      send: (message) => this.#transport?.sendBulk(message),
      onDiverged: (finding) => this.#stopDamaged(finding),
    });
    this.#housekeeping = new Housekeeping({
      clock: io.clock,
      log: io.log,
      state,
      quotaBytes: config.quotaBytes ?? 0,
      autoCompaction: config.autoCompaction ?? null,
      scrubIntervalMs: config.scrubIntervalMs ?? 0,
      onDamage: (finding) => this.#stopDamaged(finding),
      leads: () => this.#replica.status().role === 'leader',
      logTimeMs: () => this.#replica.logTimeMs(),
      execute: (command, reply) => this.service.execute(command, reply),
    });
    const parts = this.#serviceParts();
    const feed = new MemberFeed(parts);
    this.#service = createService(parts, { feed, clock: io.clock });
    this.#forwarder = createForwarder(parts, {
      memberId: config.memberId,
      clock: io.clock,
      random: io.random,
      requestTimeoutMs: config.timing.requestTimeoutMs,
      send: (message) => this.#transport?.sendBulk(message) ?? false,
    });
    this.etcd = this.#etcdMember(parts, feed);
    state.onApplied = (index) => {
      this.#housekeeping.afterApply();
      this.#divergence.applied(index);
      feed.applied();
    };
    this.handlers = {
      onMessage: (message) => this.#replica.step(message),
      onBulk: (message) => this.#receiveBulk(message),
      onUnreachable: (memberId) => this.#replica.reportUnreachable(memberId),
    };
  }

  /** The state is not what it has to be: no start may use it again. */
  #stopDamaged(finding: StoreError): void {
    this.#state.reportDamage(finding);
    this.#stopFor(finding);
  }

  /** What clients are served through, whatever they came in by. */
  get service(): KvService {
    return this.#service;
  }

  #serviceParts(): ServiceParts {
    return {
      replica: this.#replica,
      machine: () => this.#state.machine,
      hintOf: (leader) => this.#hintOf(leader),
      status: () => this.status(),
      isOpen: () => this.#closing === null,
      isOutOfSpace: (command) => this.#housekeeping.quota.refuses(command),
      onFailed: () => {
        this.#failedProposals++;
      },
    };
  }

  #etcdMember(service: ServiceParts, feed: MemberFeed): EtcdMember {
    const { config, clientUrls } = this.#options;
    return etcdMember({
      config,
      members: config.members ?? [],
      service,
      forwarder: this.#forwarder,
      feed,
      state: this.#state,
      isOutOfSpace: () => this.#housekeeping.quota.isFull,
      disagreeing: () => this.disagreeing,
      openDatabase: (asked) => this.#openDatabase(asked),
      clientUrls,
      transport: () => this.#transport,
    });
  }

  #receiveBulk(message: BulkMessage): void {
    switch (message.type) {
      case 'stateHash':
        return this.#divergence.receive(message);
      case 'forward':
      case 'forwardReply':
        return this.#forwarder.receive(message);
      case 'snapshotChunk':
      case 'snapshotChunkReply':
        return this.#replica.stepBulk(message);
      default:
        unreachable(message);
    }
  }

  /**
   * Recovers state and log and starts to take part, once `connect` was called.
   * `onFailure`: a bug, damaged data or a dead disk; the member has stopped.
   * @throws WalError, StoreError
   */
  static async open(options: MemberOptions, onFailure: (error: Error) => void): Promise<Member> {
    const { config, io, engines } = options;
    const directory = directoryOf(options);
    const { clusterId } = config;
    const { disk, log } = io;
    const state = await MemberState.open({ disk, log, engines, directory, clusterId });
    try {
      const wal = await openLog(options, state, onFailure);
      state.timers = options.timers ?? null;
      return new Member(options, { state, wal }, onFailure);
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  /** Gives the member its links to the others; before that, what it sends is lost. */
  connect(transport: Transport): void {
    this.#transport = transport;
  }

  /** Resolves when a leader is known for the first time. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Commands that wait for their answer. */
  get parked(): number {
    return this.#replica.status().parked;
  }

  /** How often another leader than before, or one after none, was seen since the start. */
  get leaderChanges(): number {
    return this.#leaderChanges;
  }

  /** Commands since the start that this member did not bring to an end as a leader. */
  get failedProposals(): number {
    return this.#failedProposals;
  }

  /** Members whose state was not this one's when they were last compared. */
  get disagreeing(): readonly MemberId[] {
    return this.#divergence.disagreeing;
  }

  /** Walks over everything stored that found nothing wrong. */
  get scrubs(): number {
    return this.#housekeeping.scrubs;
  }

  /** Index of the last entry whose effect survives a crash without the log. */
  get flushedIndex(): number {
    return this.#state.durable.index;
  }

  status(): MemberStatus {
    const { config } = this.#options;
    const status = this.#replica.status();
    return {
      clusterId: config.clusterId,
      memberId: config.memberId,
      name: config.name,
      version: VERSION,
      role: status.role,
      leader: status.leader === null ? null : this.#hintOf(status.leader),
      term: status.term,
      commitIndex: status.commitIndex,
      appliedIndex: this.#state.appliedIndex,
      revision: this.#state.machine.revision,
      stateHash: this.#state.machine.stateHash(),
      sessions: this.#state.machine.sessions,
      logBytes: this.#wal.sizeBytes,
    };
  }

  async openSnapshot({ local }: { readonly local: boolean }): Promise<OpenedSnapshot> {
    if (!local) await this.#caughtUp();
    await this.#flushed();
    const estimatedBytes = this.#state.store.usage().usedBytes;
    return { reader: this.#state.readRows(), estimatedBytes };
  }

  async #openDatabase({ signal }: { readonly signal: AbortSignal }): Promise<DatabaseFile> {
    const { io } = this.#options;
    // As etcd's: without a leader it is what this member has.
    await this.#caughtUp().catch((cause: Error) => io.log.warn(`snapshot: ${cause.message}`));
    await this.#flushed();
    signal.throwIfAborted();
    const onClosed = this.#options.timers?.snapshot();
    const view = this.#state.store.view();
    const members = this.etcd.members();
    const directory = directoryOf(this.#options);
    try {
      return await exportDatabase({ ...io, directory, view, members, signal, onClosed });
    } catch (cause) {
      if (!(cause instanceof StoreError) || cause.code !== 'CORRUPT') throw cause;
      this.#stopDamaged(cause);
      throw new GrpcError('DATA_LOSS', `the state is damaged: ${cause.message}`, { cause });
    }
  }

  #flushed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#state.flush((error) => (error === null ? resolve() : reject(error)));
    });
  }

  /** Resolves when this member has applied all that was acknowledged before the call. */
  async #caughtUp(): Promise<void> {
    const outcome = await new Promise<string>((resolve) => {
      this.#replica.readBarrier(({ type }) => resolve(type));
    });
    if (outcome === 'confirmed') return;
    throw new Error(
      'no leader confirmed that this member is up to date: ask for what it has itself (--local)',
    );
  }

  /**
   * Lets another member lead before this one goes, so that writes pause for a round trip and not
   * for an election. Takes at most an election timeout.
   */
  handOver(): Promise<void> {
    this.#handingOver ??= this.#handOver().finally(() => {
      this.#handingOver = null;
    });
    return this.#handingOver;
  }

  async #handOver(): Promise<void> {
    const { config, io } = this.#options;
    const [heir] = this.#transport?.connectedPeers() ?? [];
    if (heir === undefined || !this.#replica.transferLeadership(heir)) return;
    const endMs = io.clock.nowMs() + config.timing.electionTimeoutMs;
    const isOver = (): boolean =>
      this.#closing !== null ||
      this.#replica.status().role !== 'leader' ||
      io.clock.nowMs() >= endMs;
    while (!isOver()) {
      await new Promise<void>((resolve) => io.clock.setTimer(config.timing.tickMs, resolve));
    }
  }

  /** Answers everything that waits, then closes log and state. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#housekeeping.close();
    this.#divergence.close();
    this.#forwarder.close();
    this.#service.close();
    await this.#replica.close();
    await this.#handingOver;
    await this.#state.close();
  }

  #hintOf(leader: MemberId): LeaderHint {
    const own = leader === this.#options.config.memberId;
    const urls = own ? this.#options.clientUrls() : this.#transport?.peerInfo(leader)?.clientUrls;
    return { memberId: leader, clientUrls: urls ?? [] };
  }

  #reportChange(status: ReplicaStatus): void {
    const { log } = this.#options.io;
    if (status.leader !== null) this.#ready.resolve();
    this.#forwarder.leaderChanged();
    if (status.leader === this.#leader) return;
    this.#leader = status.leader;
    if (status.leader !== null) this.#leaderChanges++;
    const fields = { term: status.term, role: status.role };
    if (status.leader === null) log.warn('no leader', fields);
    else log.info('leader', { ...fields, leader: status.leader.toString(16) });
  }
}

function directoryOf({ config }: MemberOptions): string {
  return config.dataDir ?? 'memory';
}

async function openLog(
  options: MemberOptions,
  state: MemberState,
  onFailure: (error: Error) => void,
): Promise<Wal> {
  const { config, io, walLimits = {} } = options;
  const directory = directoryOf(options);
  const { index, term } = state.durable;
  return await openWal({
    disk: io.disk,
    clock: io.clock,
    log: io.log,
    directory,
    identity: { clusterId: config.clusterId, memberId: config.memberId },
    confState: config.confState,
    base: index === 0 ? null : { index, term },
    limits: walLimits,
    onFailure,
  });
}
