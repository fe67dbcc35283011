import type { Address, Connection, Log, LogFields, Random } from '../../io/index.ts';
import { Prng } from '../../lib/index.ts';
import type { Message } from '../../raft/index.ts';
import { decodeFrame, type Frame, FrameReader, FrameWriter } from '../frame.ts';
import { type Hello, helloOf } from '../handshake.ts';
import type { TransportLimits } from '../limits.ts';
import { openTransport } from '../transport.ts';
import type {
  BulkMessage,
  PeerMessage,
  PeerTransport,
  SnapshotChunk,
  TransportHandlers,
  TransportSelf,
} from '../types.ts';
import { FakeClock } from './fake-clock.ts';
import { type MemoryConnection, MemoryNetwork } from './memory-network.ts';

export const CLUSTER = 0xc1n;
const PORT = 7;

/** One running member. */
export interface Member {
  readonly transport: PeerTransport;
  readonly received: Message[];
  /** What came for `onBulk`. */
  readonly bulk: BulkMessage[];
  readonly unreachable: bigint[];
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** Keeps every line. */
export class RecordingLog implements Log {
  readonly lines: LogLine[] = [];
  debug = this.#keep('debug');
  info = this.#keep('info');
  warn = this.#keep('warn');
  error = this.#keep('error');

  /** Lines that an operator sees as trouble. */
  get troubles(): string[] {
    const loud = this.lines.filter(({ level }) => level === 'warn' || level === 'error');
    return loud.map(({ message }) => message);
  }

  #keep(level: string): (message: string, fields?: LogFields) => void {
    return (message, fields = {}) => this.lines.push({ level, message, fields });
  }
}

/** Random numbers from a seed. */
export function seededRandom(seed: number): Random {
  const prng = new Prng(seed);
  return {
    uint32: () => prng.uint32(),
    bytes: (length) => Uint8Array.from({ length }, () => prng.below(256)),
  };
}

/** Members on one memory network and one fake clock; member 1 listens at host m1, and so on. */
export class World {
  readonly clock = new FakeClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly log = new RecordingLog();
  #starts = 0;

  address(id: bigint): Address {
    return { host: host(id), port: PORT };
  }

  self(id: bigint): TransportSelf {
    const info = { name: `n${id}`, clientUrls: [`http://${host(id)}`] };
    return { clusterId: CLUSTER, memberId: id, incarnation: BigInt(++this.#starts), info };
  }

  /** Starts a member; `peers` are ids. */
  async start(
    id: bigint,
    peers: readonly bigint[],
    changes: {
      limits?: Partial<TransportLimits>;
      self?: Partial<TransportSelf>;
      handlers?: Partial<TransportHandlers>;
      alsoListen?: readonly Address[];
    } = {},
  ): Promise<Member> {
    const received: Message[] = [];
    const bulk: BulkMessage[] = [];
    const unreachable: bigint[] = [];
    const transport = await openTransport({
      network: this.network.host(host(id)),
      clock: this.clock,
      random: seededRandom(Number(id)),
      log: this.log,
      listen: this.address(id),
      alsoListen: changes.alsoListen ?? [],
      self: { ...this.self(id), ...changes.self },
      peers: peers.map((memberId) => ({ memberId, address: this.address(memberId) })),
      limits: changes.limits ?? {},
      handlers: {
        onMessage: (message) => received.push(message),
        onBulk: (message) => bulk.push(kept(message)),
        onUnreachable: (memberId) => unreachable.push(memberId),
        ...changes.handlers,
      },
    });
    return { transport, received, bulk, unreachable };
  }

  /** Two members that know each other, connected. */
  async pair(limits: Partial<TransportLimits> = {}): Promise<[Member, Member]> {
    const one = await this.start(1n, [2n], { limits });
    const two = await this.start(2n, [1n], { limits });
    this.clock.advance(200);
    return [one, two];
  }

  /** Closes members; the fake clock runs meanwhile. */
  async close(...members: readonly Member[]): Promise<void> {
    const closed = members.map((member) => member.transport.close());
    // Lets each close pass its listener and arm what it waits for.
    await Promise.resolve();
    this.clock.advance(10);
    await Promise.all(closed);
  }

  /** Calls a member's port by hand. */
  call(id: bigint, from = 'stranger'): Caller {
    return new Caller(this.network.host(from).connect(this.address(id)));
  }

  /** The accepted or outgoing ends at a member, by the other host. */
  ends(id: bigint, other: bigint): MemoryConnection[] {
    return this.network.endsAt(host(id)).filter((end) => end.farHost === host(other));
  }
}

export function host(id: bigint): string {
  return `m${id}`;
}

/** Speaks the protocol by hand. */
export class Caller {
  readonly connection: Connection;
  readonly frames: Frame[] = [];
  opened = false;
  closed = false;
  readonly #reader = new FrameReader(1024 * 1024);

  constructor(connection: Connection) {
    this.connection = connection;
    connection.start({
      onOpen: () => {
        this.opened = true;
      },
      onData: (bytes) => {
        this.#reader.push(bytes);
        for (let payload = this.#reader.next(); payload !== null; payload = this.#reader.next()) {
          this.frames.push(decodeFrame(payload));
        }
      },
      onClose: () => {
        this.closed = true;
      },
    });
  }

  hello(changes: Partial<Hello> = {}): void {
    const info = { name: 'caller', clientUrls: [] };
    const self = { clusterId: CLUSTER, memberId: 2n, incarnation: 77n, info };
    const hello = { ...helloOf(self, 1n, 'control'), ...changes };
    this.connection.write(new FrameWriter().handshake(hello));
  }

  send(...messages: readonly PeerMessage[]): void {
    this.connection.write(new FrameWriter().messages(messages, 1024));
  }

  write(bytes: Uint8Array): void {
    this.connection.write(bytes);
  }
}

/** A heartbeat; `commitIndex` tells them apart. */
export function heartbeat(from: bigint, to: bigint, commitIndex = 0): Message {
  return { type: 'heartbeat', from, to, term: 1, commitIndex, readAttempt: null };
}

/** A control message that nothing supersedes; `requestId` tells them apart. */
export function question(from: bigint, to: bigint, requestId = 0): Message {
  return { type: 'readIndex', from, to, term: 1, requestId };
}

/** An AppendEntries with one command of `bytes` bytes at `index`. */
export function append(from: bigint, to: bigint, index = 1, bytes = 10): Message {
  const entry = {
    kind: 'command',
    index,
    term: 1,
    data: new Uint8Array(bytes).fill(index),
  } as const;
  const prevLogTerm = index === 1 ? 0 : 1;
  const place = { prevLogIndex: index - 1, prevLogTerm, leaderCommit: 0 };
  return { type: 'appendEntries', from, to, term: 1, ...place, entries: [entry] };
}

/** The message, to be kept beyond the call that brings it: a chunk with data of its own. */
export function kept<M extends PeerMessage>(message: M): M {
  return message.type === 'snapshotChunk' ? { ...message, data: message.data.slice() } : message;
}

/** A chunk of `bytes` bytes, the `sequence`-th of transfer 1. */
export function chunk(from: bigint, to: bigint, sequence = 0, bytes = 10): SnapshotChunk {
  const confState = {
    voters: [1n, 2n],
    outgoingVoters: [],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  };
  const head = { type: 'snapshotChunk', from, to, transferId: 1, term: 1 } as const;
  const position = { index: 7, term: 1, confState };
  const data = new Uint8Array(bytes).fill(sequence);
  return { ...head, position, sequence, last: false, data };
}
