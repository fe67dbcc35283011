import { assert } from '../../lib/index.ts';
import type { ConfChange, Entry, MemberChange, MemberId, Message, RaftLimits } from '../index.ts';
import { Cluster, type ClusterEvent } from './cluster.ts';
import { showEntries, showEntry, showEvent, showMessage, showStatus } from './format.ts';

/*
 * A scenario is a text: commands (`> deliver 1->2`), below each what it must print, and prose
 * (`# …`) between them. A blank line ends the output. The commands are listed in
 * scenarios/README.md.
 */

/** Runs a scenario; returns the same text with the output that the cores really gave. */
export function runScenario(text: string): string {
  const scenario = new Scenario();
  const out: string[] = [];
  let inOutput = false;
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('> ')) {
      out.push(line, ...scenario.run(line.slice(2)));
      inOutput = true;
    } else if (line === '' || line.startsWith('#')) {
      out.push(line);
      inOutput = false;
    } else {
      assert(inOutput, 'a scenario line is no command, comment or output', { line });
    }
  }
  return `${out.join('\n')}\n`;
}

type Command = (args: readonly string[]) => void;

class Scenario {
  #cluster: Cluster | null = null;
  #lines: string[] = [];
  #indent = '';
  #counts: Map<string, number> | null = null;
  #applied: Entry[] = [];
  #appliedBy: MemberId | null = null;
  readonly #saved = new Map<string, Message[]>();
  readonly #commands: Readonly<Record<string, Command>>;

  constructor() {
    this.#commands = { ...this.#memberCommands(), ...this.#networkCommands() };
  }

  /** Carries out one command line; returns its output. */
  run(line: string): string[] {
    const words = line.split(' ');
    const quiet = words[0] === 'quiet';
    const [name = '', ...args] = quiet ? words.slice(1) : words;
    const command = this.#commands[name];
    assert(command !== undefined, 'unknown scenario command', { line });
    this.#lines = [];
    this.#indent = '';
    this.#counts = quiet ? new Map() : null;
    command(args);
    this.#flushApplied();
    if (this.#counts !== null)
      return this.#counts.size === 0 ? [] : [this.#countsLine(this.#counts)];
    return this.#lines;
  }

  get #group(): Cluster {
    assert(this.#cluster !== null, 'a scenario starts with `cluster`');
    return this.#cluster;
  }

  #memberCommands(): Record<string, Command> {
    return {
      cluster: (args) => this.#start(args),
      join: ([id]) => this.#group.join(one(id)),
      campaign: ([id]) => this.#group.campaign(one(id)),
      elect: ([id, ...voters]) => this.#elect(one(id), voters.map(one)),
      timeout: ([id, ticks]) => this.#group.forceTimeout(one(id), Number(ticks)),
      tick: ([id, count]) => {
        if (id === '*') this.#group.tickAll(Number(count ?? 1));
        else this.#group.tick(one(id), Number(count ?? 1));
      },
      propose: ([id, ...texts]) => {
        for (const text of texts.flatMap(repeated)) {
          const result = this.#group.propose(one(id), text);
          if (!result.accepted) this.#print(`${id} refuses: ${result.reason}`);
        }
      },
      conf: ([id, ...words]) => {
        const result = this.#group.changeConf(one(id), parseChange(words));
        if (!result.accepted) this.#print(`${id} refuses: ${result.reason}`);
      },
      transfer: ([id, to]) => {
        if (!this.#group.transfer(one(id), one(to))) this.#print(`${id} refuses`);
      },
      read: ([id, requestId]) => this.#group.readIndex(one(id), Number(requestId)),
      crash: ([id, survivors]) => this.#group.crash(one(id), Number(survivors ?? 0)),
      restart: ([id]) => this.#group.restart(one(id)),
      compact: ([id, index]) => {
        const done = this.#group.compact(one(id), index === undefined ? undefined : Number(index));
        if (!done) this.#print(`${id} has nothing to cut`);
      },
      disk: ([id, speed]) => {
        const member = this.#group.member(one(id));
        member.diskIsSlow = speed === 'slow';
        if (!member.diskIsSlow && member.isUp) this.#group.sync(member.id);
      },
      sync: ([id, count]) => this.#group.sync(one(id), count === undefined ? count : Number(count)),
      unreachable: ([id, peer]) => this.#group.run(one(id), (r) => r.reportUnreachable(one(peer))),
      snapshot: ([id, peer, how]) =>
        this.#group.run(one(id), (raft) => raft.reportSnapshot(one(peer), how === 'delivered')),
      status: (args) => {
        for (const member of this.#some(args)) this.#print(showStatus(this.#group.member(member)));
      },
      log: (args) => {
        for (const member of this.#some(args)) this.#printLog(member);
      },
    };
  }

  #networkCommands(): Record<string, Command> {
    return {
      stabilize: (args) => this.#group.stabilize(this.#some(args)),
      deliver: ([route, ...rest]) => {
        const found = this.#group.network.filter(matcher(route, rest[0]));
        assert(found.length > 0, 'nothing to deliver', { route });
        const order = rest.at(-1) === 'newest' ? found.reverse() : found;
        for (const message of order) this.#group.deliver(message);
      },
      drop: ([route, type]) => this.#group.drop(matcher(route, type)),
      save: ([name, route, type]) => {
        this.#saved.set(name ?? '', this.#group.take(matcher(route, type)));
      },
      replay: ([name]) => {
        const saved = this.#saved.get(name ?? '');
        assert(saved !== undefined && saved.length > 0, 'nothing saved', { name });
        for (const message of saved) this.#group.deliver(message);
      },
      cut: (args) => {
        for (const [from, to] of args.flatMap((arg) => this.#links(arg))) this.#group.cut(from, to);
      },
      isolate: ([id]) => this.#group.isolate(one(id)),
      heal: () => this.#group.heal(),
      network: () => {
        for (const message of this.#group.network) this.#print(showMessage(message));
      },
    };
  }

  #start(args: readonly string[]): void {
    const options = new Map(args.map((arg) => arg.split('=') as [string, string]));
    const number = (name: string, fallback: number): number =>
      Number(options.get(name) ?? fallback);
    const limits: { -readonly [name in keyof RaftLimits]?: number } = {};
    if (options.has('append-bytes')) limits.appendBytesMax = number('append-bytes', 0);
    if (options.has('inflight')) limits.inflightAppendsMax = number('inflight', 0);
    if (options.has('uncommitted-bytes'))
      limits.uncommittedBytesMax = number('uncommitted-bytes', 0);
    this.#cluster = new Cluster({
      voters: ids(options.get('voters')),
      learners: ids(options.get('learners')),
      electionTimeoutTicks: number('election', 10),
      heartbeatTicks: number('heartbeat', 1),
      limits,
      onEvent: (event) => this.#event(event),
    });
  }

  #elect(id: MemberId, voters: readonly MemberId[]): void {
    this.#counts = new Map();
    this.#group.elect(id, voters);
    this.#counts = null;
    const { term, lastIndex } = this.#group.raft(id);
    const votes = voters.length === 0 ? '' : ` by the votes of ${[id, ...voters].join(', ')}`;
    this.#print(`${id} leads term ${term}${votes}, with ${lastIndex}@${term} not yet sent`);
  }

  #event(event: ClusterEvent): void {
    if (this.#counts !== null) {
      if (event.type === 'member' && event.observation.type === 'sent') {
        const { type } = event.observation.message;
        this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1);
      }
      return;
    }
    if (event.type === 'member' && event.observation.type === 'applied') {
      this.#applied.push(event.observation.entry);
      this.#appliedBy = event.member.id;
      return;
    }
    this.#flushApplied();
    if (event.type === 'delivered') this.#indent = '';
    for (const line of showEvent(event)) this.#print(line);
    if (event.type === 'delivered') this.#indent = '  ';
  }

  /** Entries applied in a row are one line. */
  #flushApplied(): void {
    if (this.#applied.length === 0) return;
    const entries = this.#applied;
    this.#applied = [];
    this.#print(`${this.#appliedBy} applies ${showEntries(entries)}`);
  }

  #print(line: string): void {
    this.#flushApplied();
    this.#lines.push(this.#indent + line);
  }

  #printLog(id: MemberId): void {
    const { log, disk } = this.#group.member(id);
    const { snapshot } = log;
    const start = snapshot === null ? '' : ` after snapshot ${snapshot.index}@${snapshot.term}`;
    const entries = log.entries.map((entry) => {
      const durable = disk.log.termAt(entry.index) === entry.term;
      return durable ? showEntry(entry) : `${showEntry(entry)} (not durable)`;
    });
    this.#print(`${id}${start}: ${entries.join(', ')}`);
  }

  #countsLine(counts: ReadonlyMap<string, number>): string {
    const names = [...counts.keys()].sort();
    return `sent: ${names.map((name) => `${counts.get(name)} ${name}`).join(', ')}`;
  }

  #some(args: readonly string[]): MemberId[] {
    return args.length > 0 ? args.map(one) : [...this.#group.members.keys()];
  }

  /** All directed links that a route names: `1->2`, `1->*`, `*->1`, `1<->2`, `1<->*`. */
  #links(route: string): [MemberId, MemberId][] {
    const matches = matcher(route);
    const all = this.#some([]);
    const pairs = all.flatMap((from) => all.map((to): [MemberId, MemberId] => [from, to]));
    return pairs.filter(([from, to]) => from !== to && matches({ from, to }));
  }
}

function one(word: string | undefined): MemberId {
  assert(word !== undefined && /^\d+$/.test(word), 'a member id is missing', { word });
  return BigInt(word);
}

function ids(list: string | undefined): MemberId[] {
  return list === undefined ? [] : list.split(',').map(one);
}

/** `x*1000` is a thousand proposals x1 … x1000. */
function repeated(text: string): string[] {
  const [stem = '', count] = text.split('*');
  if (count === undefined) return [text];
  return Array.from({ length: Number(count) }, (_, i) => `${stem}${i + 1}`);
}

function matcher(
  route: string | undefined,
  type?: string,
): (message: { from: MemberId; to: MemberId; type?: string }) => boolean {
  const parts = /^(\*|\d+)(<?->)(\*|\d+)$/.exec(route ?? '');
  assert(parts !== null, 'a route looks like 1->2', { route });
  const [, left = '*', arrow, right = '*'] = parts;
  const fits = (pattern: string, id: MemberId): boolean => pattern === '*' || pattern === `${id}`;
  return (message) => {
    const { from, to } = message;
    if (type !== undefined && type !== 'newest' && message.type !== type) return false;
    if (fits(left, from) && fits(right, to)) return true;
    return arrow === '<->' && fits(left, to) && fits(right, from);
  };
}

const ACTIONS = { '+': 'addVoter', '~': 'addLearner', '-': 'remove' } as const;

/** `+4`, `~4`, `-4`; `joint +4 -1 [manual]`; `leave`. */
function parseChange(words: readonly string[]): ConfChange {
  const context = new Uint8Array(0);
  if (words[0] === 'leave') return { type: 'leaveJoint', context };
  const changes = words.flatMap((word): MemberChange[] => {
    const action = ACTIONS[word.charAt(0) as keyof typeof ACTIONS];
    return action === undefined ? [] : [{ action, memberId: one(word.slice(1)) }];
  });
  if (words[0] === 'joint') {
    return { type: 'enterJoint', changes, autoLeave: !words.includes('manual'), context };
  }
  const [change] = changes;
  assert(change !== undefined && changes.length === 1, 'a simple change has one step', { words });
  return { type: 'simple', change, context };
}
