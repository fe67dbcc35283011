import type { InitialMember } from '../server/index.ts';
import { parseDurationMs } from './duration.ts';
import type { LogFormat, LogLevel } from './log.ts';

/** One flag of `quorate serve`: its words for the help, and how its text becomes a value. */
export interface ServeFlag<T> {
  /** Placeholder of the value in the help. */
  readonly argument: string;
  readonly help: string;
  /** Several uses add up: their texts are joined with commas. */
  readonly repeatable?: boolean;
  /** Given without a value it means `true`. */
  readonly boolean?: boolean;
  /** What etcd calls it, where that is another name. */
  readonly alias?: string;
  /** Left out of the help: for the machinery that starts clusters. */
  readonly hidden?: boolean;
  /** @throws Error whose message says what is wrong with the text and what is right. */
  readonly parse: (text: string) => T;
}

/** Every flag by its name without the dashes; names and units follow etcd where it has the flag. */
export const SERVE_FLAGS = {
  name: {
    argument: 'NAME',
    help: "this member's name, unique in the cluster (default: default)",
    parse: (text: string) => text,
  },
  'data-dir': {
    argument: 'DIR',
    help: 'where everything durable lives (default: NAME.quorate)',
    parse: parseDirectory,
  },
  'listen-client-urls': {
    argument: 'URLS',
    help: 'where clients are served (default: http://localhost:2379)',
    parse: parseList,
  },
  'advertise-client-urls': {
    argument: 'URLS',
    help: 'how clients reach this member (default: the listen URLs)',
    parse: parseList,
  },
  'listen-peer-urls': {
    argument: 'URLS',
    help: 'where other members are served (default: http://localhost:2380)',
    parse: parseList,
  },
  'initial-advertise-peer-urls': {
    argument: 'URLS',
    help: 'how other members reach this one (default: the listen URLs)',
    parse: parseList,
  },
  'initial-cluster': {
    argument: 'NAME=URL,...',
    help: 'all members at the first start, the same text for each (default: this member alone)',
    parse: parseMembers,
  },
  'initial-cluster-state': {
    argument: 'STATE',
    help: 'new, or existing: then an empty data directory is an error (default: new)',
    parse: oneOf('new', 'existing'),
  },
  'initial-cluster-token': {
    argument: 'TOKEN',
    help: 'tells clusters with equal members apart (default: quorate-cluster)',
    parse: (text: string) => text,
  },
  'heartbeat-interval': {
    argument: 'MS',
    help: 'milliseconds between heartbeats of the leader (default: 100)',
    parse: milliseconds({ min: 1, max: 10_000 }),
  },
  'election-timeout': {
    argument: 'MS',
    help: 'milliseconds without a leader before an election (default: 500)',
    parse: milliseconds({ min: 5, max: 50_000 }),
  },
  'request-timeout': {
    argument: 'TIME',
    help: 'after this time an undecided request is answered "unknown" (default: 5s)',
    parse: parseDuration,
  },
  'snapshot-count': {
    argument: 'N',
    help: 'log entries kept in memory for slow members (default: 100000)',
    parse: count,
  },
  'max-log-bytes': {
    argument: 'BYTES',
    help: 'size of the log that is kept, from 8388608 (default: 67108864)',
    parse: count,
  },
  'quota-backend-bytes': {
    argument: 'BYTES',
    help: 'size of the state from which only deletes are taken; 0: none (default: 2147483648)',
    parse: count,
  },
  'auto-compaction-mode': {
    argument: 'MODE',
    help: 'forget old revisions by time or by number: periodic or revision (default: periodic)',
    parse: oneOf('periodic', 'revision'),
  },
  'auto-compaction-retention': {
    argument: 'RETENTION',
    help: 'what stays readable: hours, 30m, or revisions; 0: everything (default: 0)',
    parse: (text: string) => text,
  },
  'corrupt-check-time': {
    argument: 'TIME',
    help: 'from one walk over all that is stored to the next, to verify it; 0: none (default: 12h)',
    alias: 'experimental-corrupt-check-time',
    parse: (text: string) => (/^0[a-z]*$/.test(text) ? 0 : parseDuration(text)),
  },
  'log-level': {
    argument: 'LEVEL',
    help: 'debug, info, warn or error (default: info)',
    parse: oneOf<LogLevel>('debug', 'info', 'warn', 'error'),
  },
  'log-format': {
    argument: 'FORMAT',
    help: 'pretty or json (default: pretty on a terminal, else json)',
    parse: oneOf<LogFormat>('json', 'pretty'),
  },
  'cert-file': {
    argument: 'FILE',
    help: "this member's certificate for clients, PEM; for https client URLs",
    parse: parseFile,
  },
  'key-file': { argument: 'FILE', help: 'the key of --cert-file', parse: parseFile },
  'auto-tls': {
    argument: 'BOOL',
    help: 'instead: make a certificate that nobody has signed, keep it in the data directory',
    boolean: true,
    parse: parseBoolean,
  },
  'self-signed-cert-validity': {
    argument: 'YEARS',
    help: 'how long the one of --auto-tls is valid (default: 1)',
    parse: count,
  },
  'trusted-ca-file': {
    argument: 'FILE',
    help: 'clients must show a certificate that this authority has signed',
    parse: parseFile,
  },
  'client-cert-auth': {
    argument: 'BOOL',
    help: 'the same; needs --trusted-ca-file',
    boolean: true,
    parse: parseBoolean,
  },
  'client-crl-file': {
    argument: 'FILE',
    help: "clients' certificates that are believed no longer",
    parse: parseFile,
  },
  'client-cert-allowed-hostname': {
    argument: 'NAMES',
    help: "names of which a client's certificate must have one (default: any)",
    parse: parseList,
  },
  'peer-cert-file': {
    argument: 'FILE',
    help: "this member's certificate for members, PEM; for https peer URLs",
    parse: parseFile,
  },
  'peer-key-file': { argument: 'FILE', help: 'the key of --peer-cert-file', parse: parseFile },
  'peer-trusted-ca-file': {
    argument: 'FILE',
    help: "the authority that signs members' certificates; required for https peer URLs",
    parse: parseFile,
  },
  'peer-client-cert-file': {
    argument: 'FILE',
    help: 'another certificate for calling members (default: --peer-cert-file)',
    parse: parseFile,
  },
  'peer-client-key-file': { argument: 'FILE', help: 'its key', parse: parseFile },
  'peer-client-cert-auth': {
    argument: 'BOOL',
    help: 'members always check each other: false is refused',
    boolean: true,
    parse: parsePeerClientCertAuth,
  },
  'peer-crl-file': {
    argument: 'FILE',
    help: "members' certificates that are believed no longer",
    parse: parseFile,
  },
  'peer-cert-allowed-cn': {
    argument: 'NAMES',
    help: "common names of which a member's certificate must have one (default: any)",
    parse: parseList,
  },
  'peer-cert-allowed-hostname': {
    argument: 'NAMES',
    help: 'the same for alternative names',
    parse: parseList,
  },
  'peer-skip-client-san-verification': {
    argument: 'BOOL',
    help: 'callers need not have a certificate for the host of their peer URL (default: false)',
    boolean: true,
    parse: parseBoolean,
  },
  'cipher-suites': {
    argument: 'NAMES',
    help: 'suites of TLS 1.2, IANA names (default: all with AEAD and forward secrecy)',
    parse: parseList,
  },
  'tls-min-version': {
    argument: 'VERSION',
    help: 'TLS1.2 or TLS1.3 (default: TLS1.2)',
    parse: oneOf('TLS1.2', 'TLS1.3'),
  },
  'tls-max-version': {
    argument: 'VERSION',
    help: 'TLS1.2 or TLS1.3 (default: TLS1.3)',
    parse: oneOf('TLS1.2', 'TLS1.3'),
  },
  'truncate-damaged-log': {
    argument: 'BOOL',
    help: 'a sole member with a damaged log gives up what is behind the damage (default: false)',
    boolean: true,
    parse: parseBoolean,
  },
  'peer-dial': {
    argument: 'NAME=URL',
    help: 'dials that member at another URL than the advertised one',
    repeatable: true,
    hidden: true,
    parse: parseDials,
  },
} as const satisfies Readonly<Record<string, ServeFlag<unknown>>>;

export type ServeFlagName = keyof typeof SERVE_FLAGS;

/** The flag's other name; null when it has none. */
export function aliasOf(flag: ServeFlagName): string | null {
  return (SERVE_FLAGS[flag] as ServeFlag<unknown>).alias ?? null;
}

/** What was set, by flag; a flag that was not set is missing. */
export type ServeSettings = {
  readonly [Flag in ServeFlagName]?: ReturnType<(typeof SERVE_FLAGS)[Flag]['parse']>;
};

function parseDirectory(text: string): string {
  if (text.includes('\0')) throw new Error('holds a zero byte; name a directory');
  return text;
}

function parseFile(text: string): string {
  if (text.includes('\0')) throw new Error('holds a zero byte; name a file');
  return text;
}

/** As Go's flags read it. */
function parseBoolean(text: string): boolean {
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw new Error(`'${text}' is not true or false`);
}

function parsePeerClientCertAuth(text: string): boolean {
  if (parseBoolean(text)) return true;
  throw new Error('members always check each other; remove it');
}

function parseList(text: string): string[] {
  return text.split(',').map((item) => item.trim());
}

/** `a=URL,b=URL`; a name that stands more than once has several URLs. */
function parseMembers(text: string): InitialMember[] {
  const members = new Map<string, string[]>();
  for (const [name, url] of parsePairs(text))
    members.set(name, [...(members.get(name) ?? []), url]);
  return [...members].map(([name, peerUrls]) => ({ name, peerUrls }));
}

function parseDials(text: string): Record<string, string> {
  return Object.fromEntries(parsePairs(text));
}

function parsePairs(text: string): [name: string, url: string][] {
  return parseList(text).map((item) => {
    const at = item.indexOf('=');
    if (at < 1) throw new Error(`'${item}' is not NAME=URL; write name=http://HOST:PORT,...`);
    return [item.slice(0, at), item.slice(at + 1)];
  });
}

function milliseconds(range: { min: number; max: number }): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= range.min && value <= range.max) return value;
    throw new Error(
      `'${text}' is not a whole number of milliseconds from ${range.min} to ${range.max}`,
    );
  };
}

function count(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Error(`'${text}' is not a whole number from 0`);
}

function parseDuration(text: string): number {
  const value = parseDurationMs(text);
  if (value === null) throw new Error(`'${text}' is not a duration such as 500ms, 5s or 1m`);
  return value;
}

function oneOf<T extends string>(...words: T[]): (text: string) => T {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word === undefined) throw new Error(`'${text}' is not one of ${words.join(', ')}`);
    return word;
  };
}
