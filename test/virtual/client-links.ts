import {
  decodeExecuteReply,
  decodeStatus,
  type ExecuteRequest,
  encodeExecuteRequests,
  encodeStatus,
  KvError,
  type KvService,
} from '../../src/api/index.ts';
import type {
  ChannelFactory,
  ChannelHandlers,
  ClerkChannel,
  Endpoint,
} from '../../src/client/index.ts';
import type { Prng } from '../../src/lib/index.ts';
import type { VirtualClock } from '../../src/replica/testing/virtual-clock.ts';
import { ExecuteSession } from '../../src/server/index.ts';
import { heldBackMs, type LinkQuality, latencyMs, UNRELIABLE } from './network.ts';
import type { LabProcess } from './process.ts';

/** A lost message ends its stream; so often without a word to the clerk. */
const SILENT = 0.25;
/** What a broken stream had under way reaches the member very late, so often. */
const STRAGGLES = 0.5;

/** What clients find at a member's address. */
export interface Door {
  readonly process: LabProcess;
  readonly service: KvService;
}

/** The ways between clerks and members. */
export class ClientLinks {
  readonly clock: VirtualClock;
  readonly prng: Prng;
  /** null: nobody listens at this host. */
  readonly door: (host: string) => Door | null;
  quality: LinkQuality = { unreliable: false, longReordering: false };
  readonly #streams = new Set<ClientStream>();
  readonly #silent = new Set<string>();

  constructor(options: {
    readonly clock: VirtualClock;
    readonly prng: Prng;
    readonly door: (host: string) => Door | null;
  }) {
    this.clock = options.clock;
    this.prng = options.prng;
    this.door = options.door;
  }

  /** How this clerk's process reaches members. */
  channels(clerk: string, process: LabProcess): ChannelFactory {
    return {
      open: (endpoint, handlers) => {
        const stream = new ClientStream(this, { clerk, process, endpoint, handlers });
        this.#streams.add(stream);
        return stream;
      },
      status: (endpoint, done) => {
        const timer = process.clock.setTimer(2 * latencyMs(this.prng), () => {
          const door = this.isSilent(clerk, endpoint.host) ? null : this.door(endpoint.host);
          done(door === null ? unreachable(endpoint) : copy(door.service.status()));
        });
        return timer;
      },
    };
  }

  /** Nothing passes between a clerk and a member, and neither is told. */
  silence(clerk: string, host: string): void {
    this.#silent.add(`${clerk}>${host}`);
  }

  healAll(): void {
    this.#silent.clear();
  }

  isSilent(clerk: string, host: string): boolean {
    return this.#silent.has(`${clerk}>${host}`);
  }

  /** A process is gone, a member's or a clerk's, and its connections with it. */
  died(process: LabProcess): void {
    for (const stream of [...this.#streams]) if (stream.isOf(process)) stream.break();
  }

  forget(stream: ClientStream): void {
    this.#streams.delete(stream);
  }

  /** How long a message in this direction takes. */
  delayMs(isRequest: boolean): number {
    const { unreliable } = this.quality;
    const delayMs = unreliable && isRequest ? this.prng.below(UNRELIABLE.delayMsMax + 1) : 0;
    return delayMs + latencyMs(this.prng);
  }
}

/** One Execute stream with the production `ExecuteSession` at its far end. */
class ClientStream implements ClerkChannel {
  readonly #links: ClientLinks;
  readonly #clerk: string;
  readonly #process: LabProcess;
  readonly #endpoint: Endpoint;
  readonly #handlers: ChannelHandlers;
  #door: Door | null = null;
  #session: ExecuteSession | null = null;
  #state: 'open' | 'muted' | 'broken' | 'closed' = 'open';
  /** A stream keeps its order: when the last message of each direction arrives. */
  #upMs = 0;
  #downMs = 0;

  constructor(
    links: ClientLinks,
    ends: {
      readonly clerk: string;
      readonly process: LabProcess;
      readonly endpoint: Endpoint;
      readonly handlers: ChannelHandlers;
    },
  ) {
    this.#links = links;
    this.#clerk = ends.clerk;
    this.#process = ends.process;
    this.#endpoint = ends.endpoint;
    this.#handlers = ends.handlers;
    links.clock.setTimer(links.delayMs(true), () => this.#connect());
  }

  isOf(process: LabProcess): boolean {
    return this.#process === process || this.#door?.process === process;
  }

  send(requests: readonly ExecuteRequest[]): void {
    if (this.#state !== 'open' || this.#isSilent()) return;
    const { clock, prng, quality } = this.#links;
    if (quality.unreliable && prng.chance(UNRELIABLE.loss)) return this.#lose();
    const message = encodeExecuteRequests(requests);
    this.#upMs = Math.max(this.#upMs, clock.nowMs() + this.#links.delayMs(true));
    clock.setTimer(this.#upMs - clock.nowMs(), () => this.#arrive(message));
  }

  close(): void {
    if (this.#state === 'closed') return;
    const before = this.#state;
    this.#state = 'closed';
    this.#links.forget(this);
    if (before !== 'broken') this.#closeSession();
  }

  /** Ends the stream for both; what is under way to the member may still come, late. */
  break(): void {
    if (this.#state !== 'open' && this.#state !== 'muted') return;
    const wasMuted = this.#state === 'muted';
    this.#state = 'broken';
    this.#links.forget(this);
    this.#closeSession();
    if (wasMuted) return;
    const error = new KvError('CONNECTION_LOST', `${this.#endpoint.host}: connection reset`);
    this.#tell(() => this.#handlers.onClose(error));
  }

  #connect(): void {
    if (this.#state !== 'open' || this.#isSilent()) return;
    const door = this.#links.door(this.#endpoint.host);
    if (door === null) {
      this.#state = 'broken';
      this.#links.forget(this);
      return this.#tell(() => this.#handlers.onClose(unreachable(this.#endpoint)));
    }
    this.#door = door;
    this.#session = new ExecuteSession({
      service: door.service,
      clock: door.process.clock,
      send: (message) => this.#reply(message),
      bufferedBytes: () => 0,
      onDrained: () => this.break(),
    });
  }

  #arrive(message: Uint8Array): void {
    const { clock, prng, quality } = this.#links;
    if (this.#door?.process.alive !== true || this.#isSilent()) return;
    const isOver = this.#state === 'broken' || this.#state === 'closed';
    if (!isOver) return this.#session?.receive(message);
    if (!quality.unreliable || !prng.chance(STRAGGLES)) return;
    // The bytes were in the member's buffers when the connection went down: it reads them later.
    const { process, service } = this.#door;
    clock.setTimer(heldBackMs(prng), () => {
      if (!process.alive) return;
      const ignore = (): void => undefined;
      const { clock: own } = process;
      new ExecuteSession({
        service,
        clock: own,
        send: ignore,
        bufferedBytes: () => 0,
        onDrained: ignore,
      }).receive(message);
    });
  }

  #reply(message: Uint8Array): void {
    if (this.#state !== 'open' || this.#isSilent()) return;
    if (this.#door?.process.alive !== true) return;
    const { clock, prng, quality } = this.#links;
    if (quality.unreliable && prng.chance(UNRELIABLE.loss)) return this.#lose();
    const bytes = message.slice();
    this.#downMs = Math.max(this.#downMs, clock.nowMs() + this.#links.delayMs(false));
    this.#process.clock.setTimer(this.#downMs - clock.nowMs(), () => this.#receive(bytes));
  }

  #receive(bytes: Uint8Array): void {
    if (this.#state !== 'open' || this.#isSilent()) return;
    const reply = decodeExecuteReply(bytes);
    if (reply.type === 'hello') this.#handlers.onHello(reply);
    else this.#handlers.onReplies(reply.replies);
  }

  /** A message is lost: the stream goes on in silence, or breaks. */
  #lose(): void {
    if (this.#links.prng.chance(SILENT)) this.#state = 'muted';
    else this.break();
  }

  #tell(run: () => void): void {
    this.#process.clock.setTimer(this.#links.delayMs(false), () => {
      if (this.#state !== 'closed') run();
    });
  }

  #closeSession(): void {
    this.#session?.close();
  }

  #isSilent(): boolean {
    return this.#links.isSilent(this.#clerk, this.#endpoint.host);
  }
}

function unreachable({ host }: Endpoint): KvError {
  return new KvError('UNREACHABLE', `${host}: connection refused`);
}

function copy(status: Parameters<typeof encodeStatus>[0]): ReturnType<typeof decodeStatus> {
  return decodeStatus(encodeStatus(status));
}
