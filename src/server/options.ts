import type { Io, Log } from '../io/index.ts';

/**
 * A member of the cluster as everybody is told at the start (etcd: one item of --initial-cluster).
 */
export interface InitialMember {
  readonly name: string;
  /** Its peer URLs, `http://host:port` or `https://…`; dialled in turn until one answers. */
  readonly peerUrls: readonly string[];
}

/**
 * Keys and certificates of the client port. Files are PEM, and are read again when they change:
 * new ones count for new connections.
 */
export interface ClientTlsOptions {
  /** This member's certificate, followed by those of intermediate authorities [--cert-file]. */
  readonly certFile?: string;
  /** Its key [--key-file]. */
  readonly keyFile?: string;
  /** Makes a certificate that nobody signed, and keeps it in the data directory [--auto-tls]. */
  readonly auto?: boolean;
  /** Days for which that one is valid [--self-signed-cert-validity, in years; 365]. */
  readonly autoValidityDays?: number;
  /** Clients must show a certificate of the trusted authority [--client-cert-auth]. */
  readonly clientCertAuth?: boolean;
  /** That authority; given alone, it turns `clientCertAuth` on, as in etcd [--trusted-ca-file]. */
  readonly trustedCaFile?: string;
  /** Certificates of clients that are believed no longer [--client-crl-file]. */
  readonly crlFile?: string;
  /** Names of which a client's certificate must have one [--client-cert-allowed-hostname, all]. */
  readonly allowedHostnames?: readonly string[];
}

/** Keys and certificates between members: both sides always show one. */
export interface PeerTlsOptions {
  /** What this member shows to callers, and calling too if no other [--peer-cert-file]. */
  readonly certFile?: string;
  /** Its key [--peer-key-file]. */
  readonly keyFile?: string;
  /** Another certificate for dialling [--peer-client-cert-file]. */
  readonly clientCertFile?: string;
  /** Its key [--peer-client-key-file]. */
  readonly clientKeyFile?: string;
  /** The authority that signs members' certificates [--peer-trusted-ca-file]. */
  readonly trustedCaFile?: string;
  /** Certificates that are believed no longer [--peer-crl-file]. */
  readonly crlFile?: string;
  /** Common names of which a member's certificate must have one [--peer-cert-allowed-cn, all]. */
  readonly allowedCommonNames?: readonly string[];
  /** The same for alternative names [--peer-cert-allowed-hostname, all]. */
  readonly allowedHostnames?: readonly string[];
  /**
   * Callers need not prove that they are at the host of their peer URL
   * [--peer-skip-client-san-verification, false].
   */
  readonly skipHostProof?: boolean;
}

/** Which TLS is spoken, on both ports. */
export interface TlsProtocolOptions {
  /** Suites of TLS 1.2 by their IANA names [--cipher-suites, all with AEAD and forward secrecy]. */
  readonly cipherSuites?: readonly string[];
  /** `TLS1.2` or `TLS1.3` [--tls-min-version, TLS1.2]. */
  readonly minVersion?: string;
  /** [--tls-max-version, TLS1.3] */
  readonly maxVersion?: string;
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
   * Entries of the log that are kept in memory; the state is flushed a few times as often
   * [--snapshot-count, 100000].
   */
  readonly snapshotCount?: number;
  /** Bytes of log that are kept; the files take at most twice as much [--max-log-bytes, 64 MiB]. */
  readonly maxLogBytes?: number;
  /** Bytes that the state may take on disk; 0: no bound [--quota-backend-bytes, 2 GiB]. */
  readonly quotaBackendBytes?: number;
  /** [--auto-compaction-mode, "periodic"] */
  readonly autoCompactionMode?: 'periodic' | 'revision';
  /**
   * Milliseconds (periodic) or revisions that stay readable; 0: nothing is compacted by itself
   * [--auto-compaction-retention, 0].
   */
  readonly autoCompactionRetention?: number;
  /**
   * Milliseconds from one walk over everything that is stored to the next, which verifies it; 0:
   * none [--corrupt-check-time, 12 h; etcd: none].
   */
  readonly corruptCheckTimeMs?: number;
  /**
   * Dials members (by name) at another URL than the advertised one, for instance through a proxy
   * [none].
   */
  readonly peerDial?: Readonly<Record<string, string>>;
  /** For `https` client URLs. */
  readonly clientTls?: ClientTlsOptions;
  /** For `https` peer URLs. */
  readonly peerTls?: PeerTlsOptions;
  /** Default: TLS 1.2 and 1.3 with authenticated encryption. */
  readonly tlsProtocol?: TlsProtocolOptions;
  /**
   * A sole member whose log is damaged gives up what is behind the damage, at this start
   * [--truncate-damaged-log, false].
   */
  readonly truncateDamagedLog?: boolean;
  /** Ends a start that still waits for other members. */
  readonly signal?: AbortSignal;
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
  snapshotCount: 100_000,
  maxLogBytes: 64 * 1024 * 1024,
  quotaBackendBytes: 2 * 1024 * 1024 * 1024,
  corruptCheckTimeMs: 12 * 3_600_000,
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
