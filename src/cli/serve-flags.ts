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
  'peer-dial': {
    argument: 'NAME=URL',
    help: 'dials that member at another URL than the advertised one',
    repeatable: true,
    hidden: true,
    parse: parseDials,
  },
} as const satisfies Readonly<Record<string, ServeFlag<unknown>>>;

export type ServeFlagName = keyof typeof SERVE_FLAGS;

/** What was set, by flag; a flag that was not set is missing. */
export type ServeSettings = {
  readonly [Flag in ServeFlagName]?: ReturnType<(typeof SERVE_FLAGS)[Flag]['parse']>;
};

function parseDirectory(text: string): string {
  if (text.includes('\0')) throw new Error('holds a zero byte; name a directory');
  return text;
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
