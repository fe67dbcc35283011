import {
  type Command,
  decodeCommand,
  type ErrorCode,
  type ExecuteRequest,
  encodeAnswer,
  KvError,
  type MemberStatus,
  type Query,
  type Reply,
  type Withdraw,
} from '../../api/index.ts';
import type { ChannelFactory, ChannelHandlers, ClerkChannel } from '../channel.ts';
import { type Endpoint, endpointText } from '../endpoint.ts';
import type { FakeClock } from './fake-clock.ts';
import { FakeStore, refusal } from './fake-store.ts';

/** One way, milliseconds. */
const LATENCY_MS = 1;

/** What arrives at a member. */
export type Arrival =
  | { readonly type: 'command'; readonly member: FakeMember; readonly command: Command }
  | { readonly type: 'query'; readonly member: FakeMember; readonly query: Query };

/**
 * What becomes of a request that arrived.
 * `serve`: as usual · `drop`: nothing happens, no answer · `mute`: it happens, no answer ·
 * `cut`, `cutAfter`: the connection breaks before or after it happened · `late`: it happens after
 * so many milliseconds, and the answer says that this is not known · `code`: refused.
 */
export type Fate =
  | 'serve'
  | 'drop'
  | 'mute'
  | 'cut'
  | 'cutAfter'
  | { readonly code: ErrorCode; readonly lateMs?: number }
  | { readonly answer: Uint8Array };

/** A member of the pretended cluster, reached as `m<id>:1`. */
export interface FakeMember {
  readonly id: bigint;
  readonly endpoint: Endpoint;
  /** `down`: connecting is refused · `deaf`: it never ends · `mute`: hello, then silence. */
  condition: 'up' | 'down' | 'deaf' | 'mute';
  clusterId: bigint;
  /** Requests that arrived. */
  requests: number;
  /** Messages that arrived: a coalesced turn is one. */
  messages: number;
  /** Channels opened to it. */
  opened: number;
}

/** A state machine in place of the pretended one; it may keep an answer back. */
export interface Backend {
  execute(command: Command): Uint8Array;
  read(query: Query, reply: Reply): Withdraw | undefined;
}

/** Members with one store behind them, over channels that a test breaks at will. */
export class FakeCluster {
  readonly store = new FakeStore();
  readonly members: FakeMember[] = [];
  /** Index of the member that leads; null during an election. */
  leader: number | null = 0;
  /** Whom followers name; undefined: the leader. */
  hinted: number | null | undefined = undefined;
  /** Decides on each request that reaches the leader. */
  fate: (arrival: Arrival) => Fate = () => 'serve';
  /** Times that a question was withdrawn. */
  withdrawals = 0;
  /** Commands in the order in which they reached any member. */
  readonly arrivals: Arrival[] = [];
  readonly #clock: FakeClock;
  readonly #open = new Set<FakeChannel>();
  readonly #backend: Backend;

  constructor(clock: FakeClock, size = 3, backend: Backend | null = null) {
    this.#clock = clock;
    this.#backend = backend ?? {
      execute: (c) => this.store.execute(c),
      read: (q, r) => void r(this.store.read(q)),
    };
    for (let id = 1; id <= size; id++) {
      this.members.push({
        id: BigInt(id),
        endpoint: { host: `m${id}`, port: 1, tls: false },
        condition: 'up',
        clusterId: 7n,
        requests: 0,
        messages: 0,
        opened: 0,
      });
    }
  }

  /** `m1:1`, `m2:1`, … */
  get endpoints(): string[] {
    return this.members.map(({ endpoint }) => endpointText(endpoint));
  }

  get openChannels(): number {
    return this.#open.size;
  }

  get requests(): number {
    return this.members.reduce((sum, { requests }) => sum + requests, 0);
  }

  get opened(): number {
    return this.members.reduce((sum, { opened }) => sum + opened, 0);
  }

  /** The member dies: its connections break, and new ones are refused. */
  kill(index: number): void {
    const member = this.member(index);
    member.condition = 'down';
    if (this.leader === index) this.leader = null;
    for (const channel of [...this.#open]) if (channel.member === member) channel.cut('reset');
  }

  cutAll(): void {
    for (const channel of [...this.#open]) channel.cut('reset');
  }

  member(index: number): FakeMember {
    const member = this.members[index];
    if (member === undefined) throw new Error(`no member ${index}`);
    return member;
  }

  channels(): ChannelFactory {
    return {
      open: (endpoint, handlers) => this.#openChannel(endpoint, handlers),
      status: (endpoint, done) => {
        const member = this.#find(endpoint);
        const timer = this.#clock.setTimer(LATENCY_MS, () => {
          if (member?.condition === 'up') done(statusOf(member, this));
          else if (member?.condition === 'down') done(unreachable(endpoint));
        });
        return { cancel: () => timer.cancel() };
      },
    };
  }

  /** What one request leads to; null for no answer, or one that comes to `late`. */
  answer(channel: FakeChannel, request: ExecuteRequest, late: Reply): Uint8Array | null {
    const { member } = channel;
    const { id, body } = request;
    if (body.type === 'withdrawal') {
      this.withdrawals++;
      channel.waiting.get(id)?.();
      return null;
    }
    const arrival: Arrival =
      body.type === 'command'
        ? { type: 'command', member, command: decodeCommand(body.command) }
        : { type: 'query', member, query: body.query };
    this.arrivals.push(arrival);
    member.requests++;
    if (member.condition === 'mute') return null;
    const isLocal = arrival.type === 'query' && arrival.query.serializable;
    if (this.leader === null || this.member(this.leader) !== member) {
      return isLocal ? this.#serve(arrival, late, null) : this.#notLeader();
    }
    const fate = this.fate(arrival);
    if (typeof fate === 'object') {
      if ('answer' in fate) return fate.answer;
      if (fate.lateMs !== undefined)
        this.#clock.setTimer(fate.lateMs, () => this.#serve(arrival, () => {}, null));
      return refusal(fate.code, `told to say ${fate.code}`);
    }
    switch (fate) {
      case 'serve':
        return this.#serve(arrival, late, (withdraw) => channel.waiting.set(id, withdraw));
      case 'drop':
        return null;
      case 'mute':
        this.#serve(arrival, () => {}, null);
        return null;
      case 'cut':
        channel.cut('reset');
        return null;
      case 'cutAfter':
        this.#serve(arrival, () => {}, null);
        channel.cut('reset');
        return null;
    }
  }

  closed(channel: FakeChannel): void {
    this.#open.delete(channel);
  }

  #serve(
    arrival: Arrival,
    late: Reply,
    onWaiting: ((withdraw: Withdraw) => void) | null,
  ): Uint8Array | null {
    if (arrival.type === 'command') return this.#backend.execute(arrival.command);
    let answer: Uint8Array | null = null;
    let isLate = false;
    const withdraw = this.#backend.read(arrival.query, (said) => {
      if (isLate) late(said);
      else answer = said;
    });
    if (withdraw !== undefined) onWaiting?.(withdraw);
    isLate = true;
    return answer;
  }

  #notLeader(): Uint8Array {
    const index = this.hinted === undefined ? this.leader : this.hinted;
    const leader = index === null ? null : this.member(index);
    const hint =
      leader === null
        ? null
        : { memberId: leader.id, clientUrls: [`http://${endpointText(leader.endpoint)}`] };
    return encodeAnswer({ type: 'error', code: 'NOT_LEADER', message: 'a follower', leader: hint });
  }

  #openChannel(endpoint: Endpoint, handlers: ChannelHandlers): ClerkChannel {
    const member = this.#find(endpoint);
    if (member === null) throw new Error(`a clerk went to ${endpointText(endpoint)}`);
    member.opened++;
    const channel = new FakeChannel(this.#clock, this, member, handlers);
    this.#open.add(channel);
    return channel;
  }

  #find(endpoint: Endpoint): FakeMember | null {
    const text = endpointText(endpoint);
    return this.members.find((member) => endpointText(member.endpoint) === text) ?? null;
  }
}

class FakeChannel implements ClerkChannel {
  readonly member: FakeMember;
  /** Questions that wait for news, by id. */
  readonly waiting = new Map<number, Withdraw>();
  readonly #clock: FakeClock;
  readonly #cluster: FakeCluster;
  readonly #handlers: ChannelHandlers;
  #isOpen = true;
  #isLeft = false;

  constructor(
    clock: FakeClock,
    cluster: FakeCluster,
    member: FakeMember,
    handlers: ChannelHandlers,
  ) {
    this.#clock = clock;
    this.#cluster = cluster;
    this.member = member;
    this.#handlers = handlers;
    this.#later(() => {
      if (member.condition === 'down') this.cut('connection refused');
      else if (member.condition !== 'deaf') {
        handlers.onHello({ clusterId: member.clusterId, memberId: member.id });
      }
    });
  }

  send(requests: readonly ExecuteRequest[]): void {
    if (this.#isLeft) throw new Error('sent on a channel that the clerk has closed');
    this.#later(() => {
      this.member.messages++;
      const replies: { id: number; answer: Uint8Array }[] = [];
      for (const request of requests) {
        if (!this.#isOpen) return;
        const answer = this.#cluster.answer(this, request, (said) => {
          this.#later(() => this.#handlers.onReplies([{ id: request.id, answer: said }]));
        });
        if (answer !== null) replies.push({ id: request.id, answer });
      }
      if (replies.length > 0) this.#later(() => this.#handlers.onReplies(replies));
    });
  }

  close(): void {
    this.#isLeft = true;
    this.#end();
  }

  /** The connection breaks; the clerk hears of it a little later. */
  cut(reason: string): void {
    if (!this.#isOpen) return;
    this.#end();
    const code = reason === 'reset' ? 'CONNECTION_LOST' : 'UNREACHABLE';
    const error = new KvError(code, `${endpointText(this.member.endpoint)}: ${reason}`);
    this.#clock.setTimer(LATENCY_MS, () => {
      if (!this.#isLeft) this.#handlers.onClose(error);
    });
  }

  #end(): void {
    this.#isOpen = false;
    for (const withdraw of this.waiting.values()) withdraw();
    this.#cluster.closed(this);
  }

  #later(run: () => void): void {
    this.#clock.setTimer(LATENCY_MS, () => {
      if (this.#isOpen) run();
    });
  }
}

function unreachable(endpoint: Endpoint): KvError {
  return new KvError('UNREACHABLE', `${endpointText(endpoint)}: connection refused`);
}

function statusOf(member: FakeMember, cluster: FakeCluster): MemberStatus {
  return {
    clusterId: member.clusterId,
    memberId: member.id,
    name: `m${member.id}`,
    version: '0.0.0',
    role: cluster.leader === Number(member.id) - 1 ? 'leader' : 'follower',
    leader: null,
    term: 1,
    commitIndex: 1,
    appliedIndex: 1,
    revision: 1,
    stateHash: '00',
    sessions: cluster.store.sessions.size,
    logBytes: 0,
  };
}
