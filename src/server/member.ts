import type { KvService, LeaderHint, MemberStatus } from '../api/index.ts';
import type { Io } from '../io/index.ts';
import { KvStateMachine } from '../kv/index.ts';
import { deferred } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import { Replica, type ReplicaStatus } from '../replica/index.ts';
import { memoryStore } from '../store/index.ts';
import type { Transport, TransportHandlers } from '../transport/index.ts';
import { openWal, type Wal, type WalLimits } from '../wal/index.ts';
import type { ServerConfig } from './config.ts';
import { ConfigError } from './options.ts';
import { createService } from './service.ts';
import { VERSION } from './version.ts';

/** What a member needs of its configuration, and of the outside world. */
export interface MemberOptions {
  readonly config: Pick<
    ServerConfig,
    'name' | 'clusterId' | 'memberId' | 'dataDir' | 'mayCreateLog' | 'confState' | 'timing'
  >;
  readonly io: Pick<Io, 'clock' | 'disk' | 'log' | 'random'>;
  /** How clients reach this member; asked whenever somebody wants to know. */
  readonly clientUrls: () => readonly string[];
  /** Default WAL_LIMITS. */
  readonly walLimits?: Partial<WalLimits>;
}

/**
 * One member without its doors: log, replica, state machine and service. `startServer` puts sockets
 * around it, a simulator puts something else there.
 */
export class Member {
  /** What clients are served through, whatever they came in by. */
  readonly service: KvService;
  /** For the transport to call. */
  readonly handlers: TransportHandlers;
  readonly #options: MemberOptions;
  readonly #wal: Wal;
  readonly #replica: Replica;
  readonly #machine = new KvStateMachine({ store: memoryStore() });
  readonly #ready = deferred<void>();
  #transport: Transport | null = null;
  #leader: MemberId | null = null;

  private constructor(options: MemberOptions, wal: Wal, onFailure: (error: Error) => void) {
    this.#options = options;
    this.#wal = wal;
    const { config, io } = options;
    this.#replica = new Replica({
      id: config.memberId,
      wal,
      stateMachine: this.#machine,
      send: (messages) => this.#transport?.send(messages),
      clock: io.clock,
      random: io.random,
      log: io.log,
      timing: config.timing,
      onChange: (status) => this.#reportChange(status),
      onFailure,
    });
    this.service = createService({
      replica: this.#replica,
      machine: this.#machine,
      hintOf: (leader) => this.#hintOf(leader),
      status: () => this.status(),
    });
    this.handlers = {
      onMessage: (message) => this.#replica.step(message),
      onUnreachable: (memberId) => this.#replica.reportUnreachable(memberId),
    };
  }

  /**
   * Recovers the log and starts to take part, once `connect` was called.
   * `onFailure`: a bug, damaged data or a dead disk; the member has stopped.
   * @throws WalError, ConfigError
   */
  static async open(options: MemberOptions, onFailure: (error: Error) => void): Promise<Member> {
    const wal = await openLog(options, onFailure);
    return new Member(options, wal, onFailure);
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
      appliedIndex: status.applied,
      revision: this.#machine.revision,
      stateHash: this.#machine.stateHash(),
      sessions: this.#machine.sessions,
      logBytes: this.#wal.sizeBytes,
    };
  }

  /**
   * Lets another member lead before this one goes, so that writes pause for a round trip and not
   * for an election. Takes at most an election timeout.
   */
  async handOver(): Promise<void> {
    const { config, io } = this.#options;
    const [heir] = this.#transport?.connectedPeers() ?? [];
    if (heir === undefined || !this.#replica.transferLeadership(heir)) return;
    const endMs = io.clock.nowMs() + config.timing.electionTimeoutMs;
    while (this.#replica.status().role === 'leader' && io.clock.nowMs() < endMs) {
      await new Promise<void>((resolve) => io.clock.setTimer(config.timing.tickMs, resolve));
    }
  }

  /** Answers everything that waits, then closes the log. Safe to call twice. */
  close(): Promise<void> {
    return this.#replica.close();
  }

  #hintOf(leader: MemberId): LeaderHint {
    const own = leader === this.#options.config.memberId;
    const urls = own ? this.#options.clientUrls() : this.#transport?.peerInfo(leader)?.clientUrls;
    return { memberId: leader, clientUrls: urls ?? [] };
  }

  #reportChange(status: ReplicaStatus): void {
    const { log } = this.#options.io;
    if (status.leader !== null) this.#ready.resolve();
    if (status.leader === this.#leader) return;
    this.#leader = status.leader;
    const fields = { term: status.term, role: status.role };
    if (status.leader === null) log.warn('no leader', fields);
    else log.info('leader', { ...fields, leader: status.leader.toString(16) });
  }
}

async function openLog(
  { config, io, walLimits = {} }: MemberOptions,
  onFailure: (error: Error) => void,
): Promise<Wal> {
  const directory = config.dataDir ?? 'memory';
  const wal = await openWal({
    disk: io.disk,
    clock: io.clock,
    log: io.log,
    directory,
    identity: { clusterId: config.clusterId, memberId: config.memberId },
    confState: config.confState,
    limits: walLimits,
    onFailure,
  });
  if (wal.recovery.created && !config.mayCreateLog) {
    await wal.close();
    throw new ConfigError(
      `--initial-cluster-state: is 'existing' but '${directory}' holds no log: ` +
        "start a new cluster with 'new', or name the directory of this member",
    );
  }
  return wal;
}
