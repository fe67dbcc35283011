import type { Io, Log } from '../io/index.ts';

/**
 * A member of the cluster as everybody is told at the start (etcd: one item of --initial-cluster).
 */
export interface InitialMember {
  readonly name: string;
  /** Its peer URLs, `http://host:port`; the first is dialled. */
  readonly peerUrls: readonly string[];
}

/** How to start a member. Names and defaults follow etcd's flags, given in brackets. */
export interface ServerOptions {
  /** Name of this member, unique in the cluster [--name, "default"]. */
  readonly name?: string;
  /**
   * Where the log lives [--data-dir, "NAME.quorate"]; `memory` keeps everything in memory, for
   * tests.
   */
  readonly dataDir?: string | { readonly memory: true };
  /** Where clients are served [--listen-client-urls, http://localhost:2379]. Port 0 picks one. */
  readonly listenClientUrls?: readonly string[];
  /** How clients reach this member [--advertise-client-urls, the listen URLs]. */
  readonly advertiseClientUrls?: readonly string[];
  /** Where other members are served [--listen-peer-urls, http://localhost:2380]. */
  readonly listenPeerUrls?: readonly string[];
  /** How other members reach this one [--initial-advertise-peer-urls, the listen URLs]. */
  readonly initialAdvertisePeerUrls?: readonly string[];
  /** All members at the first start [--initial-cluster, this member alone]. */
  readonly initialCluster?: readonly InitialMember[];
  /** Whether the cluster is being formed now [--initial-cluster-state, "new"]. */
  readonly initialClusterState?: 'new' | 'existing';
  /** Tells clusters with equal members apart [--initial-cluster-token, "quorate-cluster"]. */
  readonly initialClusterToken?: string;
  /** Milliseconds between a leader's heartbeats [--heartbeat-interval, 100]. */
  readonly heartbeatIntervalMs?: number;
  /**
   * Milliseconds without a leader before an election; drawn from [this, 2 × this)
   * [--election-timeout, 500; etcd: 1000].
   */
  readonly electionTimeoutMs?: number;
  /**
   * Milliseconds after which a request that the cluster has not decided is answered "unknown"
   * [5000].
   */
  readonly requestTimeoutMs?: number;
  /**
   * Dials members (by name) at another URL than the advertised one, for instance through a proxy
   * [none].
   */
  readonly peerDial?: Readonly<Record<string, string>>;
  /** Where log lines go; default: nowhere. */
  readonly log?: Log;
  /** Another outside world, for tests; default: the machine's. */
  readonly io?: Partial<Io>;
}

/** Defaults, unit and bound included. */
export const SERVER_DEFAULTS = {
  name: 'default',
  listenClientUrl: 'http://localhost:2379',
  listenPeerUrl: 'http://localhost:2380',
  initialClusterToken: 'quorate-cluster',
  heartbeatIntervalMs: 100,
  electionTimeoutMs: 500,
  requestTimeoutMs: 5_000,
} as const;

/**
 * A configuration that cannot work; `message` is one line: which option, what is wrong, what to do.
 */
export class ConfigError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'ConfigError';
  }
}
