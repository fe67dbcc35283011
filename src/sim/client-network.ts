import {
  API_LIMITS,
  decodeAnswer,
  decodeCommand,
  decodeExecuteReply,
  decodeStatus,
  type ExecuteRequest,
  encodeExecuteRequests,
  encodeStatus,
  type IdentifiedAnswer,
  KvError,
  type KvService,
} from '../api/index.ts';
import type { ChannelFactory, ChannelHandlers, ClerkChannel, Endpoint } from '../client/index.ts';
import { ExecuteSession } from '../server/index.ts';
import type { Counters } from './counters.ts';
import type { ClientCall } from './matrix.ts';
import type { Process } from './process.ts';
import type { Stream } from './streams.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

/** How clients' connections behave. */
export interface ClientQuality {
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** Probability, for each message of a member, that the rest of its stream is never heard. */
  readonly mute: number;
  /** The same, that the connection breaks before the message arrives. */
  readonly breakOnReply: number;
  /** The same for messages of the client. */
  readonly breakOnRequest: number;
  /** Probability that a dead member's connections are not reset. */
  readonly noReset: number;
}

/** What may wait on one stream. */
export interface StreamLimits {
  readonly inFlightRequestsMax: number;
  readonly inFlightBytesMax: number;
}

/** What clients find at an address; null while nobody listens. */
export interface ClientDoor {
  readonly process: Process;
  readonly service: KvService;
  /** The same for clients of etcd: whoever is asked passes commands on. */
  readonly etcd: KvService;
  /** Something broke while a request was handled: the process ends. */
  readonly onDefect: (error: unknown) => void;
}

/** How a clerk reaches a member now. */
export type Reach = 'reachable' | 'refused' | 'silent';

/** Ordered streams of bytes between clerks and members. */
export class ClientNetwork {
  readonly world: World;
  readonly stream: Stream;
  readonly counters: Counters;
  quality: ClientQuality;
  readonly limits: StreamLimits | null;
  /** Sees each call as it leaves. */
  readonly onCall: (call: ClientCall) => void;
  readonly #doors: (host: string) => ClientDoor | null;
  readonly #reach = new Map<string, Reach>();
  readonly #links = new Set<Link>();

  constructor(options: {
    readonly world: World;
    readonly counters: Counters;
    readonly quality: ClientQuality;
    readonly limits: StreamLimits | null;
    readonly onCall: (call: ClientCall) => void;
    readonly doors: (host: string) => ClientDoor | null;
  }) {
    this.world = options.world;
    this.stream = options.world.stream('client network');
    this.counters = options.counters;
    this.quality = options.quality;
    this.limits = options.limits;
    this.onCall = options.onCall;
    this.#doors = options.doors;
  }

  channels(clerk: Process, place: string): ChannelFactory {
    return {
      open: (endpoint, handlers) => {
        const link = new Link(this, { clerk, place, endpoint, handlers });
        this.#links.add(link);
        return link;
      },
      status: (endpoint, done) => {
        this.onCall('status');
        let cancelled = false;
        const answer = (result: Parameters<typeof done>[0]): void => {
          this.deliver(clerk, this.latencyUs(), () => {
            if (!cancelled) done(result);
          });
        };
        this.world.schedule(null, { kind: 'io', delayUs: this.latencyUs(), label: '' }, () => {
          const door = this.door(place, endpoint.host);
          if (door === 'silent') return;
          if (door === 'refused') return answer(unreachable(endpoint));
          this.deliver(door.process, 0, () => {
            answer(decodeStatus(encodeStatus(door.service.status())));
          });
        });
        return {
          cancel: () => {
            cancelled = true;
          },
        };
      },
    };
  }

  /** From where the clerk is, nobody at this address says anything. */
  isSilent(place: string, host: string): boolean {
    return this.#reach.size > 0 && this.#reach.get(`${place}>${host}`) === 'silent';
  }

  /** From where the clerk is, what is at a member's address. */
  door(place: string, host: string): ClientDoor | 'refused' | 'silent' {
    const reach = this.#reach.get(`${place}>${host}`) ?? 'reachable';
    if (reach !== 'reachable') return reach;
    return this.#doors(host) ?? 'refused';
  }

  setReach(place: string, host: string, reach: Reach): void {
    this.#reach.set(`${place}>${host}`, reach);
    if (reach === 'silent') {
      for (const link of this.#links) if (link.isBetween(place, host)) link.mute();
    }
    if (reach === 'refused') this.breakLinks((link) => link.isBetween(place, host));
  }

  /** Breaks connections, with whatever is under way on them. */
  breakLinks(which: (link: Link) => boolean): number {
    const broken = [...this.#links].filter(which);
    for (const link of broken) link.break();
    return broken.length;
  }

  /** A member's process has ended. */
  memberDied(process: Process): void {
    for (const link of [...this.#links]) {
      if (!link.isServedBy(process)) continue;
      if (this.stream.chance(this.quality.noReset)) link.mute();
      else link.break();
    }
  }

  forget(link: Link): void {
    this.#links.delete(link);
  }

  latencyUs(): number {
    return (this.quality.latencyMs + this.stream.exponential(this.quality.jitterMs)) * 1000;
  }

  /** Something arrives at a process. */
  deliver(process: Process, delayUs: number, run: () => void): void {
    this.world.schedule(process, { kind: 'io', delayUs, label: '' }, () => {
      this.world.movePromises();
      run();
    });
  }
}

/** One Execute stream; both ends of it. */
export class Link implements ClerkChannel {
  readonly #network: ClientNetwork;
  readonly #clerk: Process;
  readonly #place: string;
  readonly #endpoint: Endpoint;
  readonly #handlers: ChannelHandlers;
  #door: ClientDoor | null = null;
  #session: ExecuteSession | null = null;
  #state: 'open' | 'broken' | 'closed' = 'open';
  /** Nothing reaches the clerk any more, and it is not told. */
  #muted = false;
  #greeted = false;
  #unread = 0;
  /** Streams keep their order: when the last message of each direction arrives. */
  #upUs = 0;
  #downUs = 0;

  constructor(
    network: ClientNetwork,
    ends: {
      readonly clerk: Process;
      readonly place: string;
      readonly endpoint: Endpoint;
      readonly handlers: ChannelHandlers;
    },
  ) {
    this.#network = network;
    this.#clerk = ends.clerk;
    this.#place = ends.place;
    this.#endpoint = ends.endpoint;
    this.#handlers = ends.handlers;
    const when = { kind: 'io', delayUs: network.latencyUs(), label: '' } as const;
    network.world.schedule(null, when, () => this.#connect());
  }

  isBetween(place: string, host: string): boolean {
    return this.#place === place && this.#endpoint.host === host;
  }

  isServedBy(process: Process): boolean {
    return this.#door?.process === process;
  }

  send(requests: Parameters<typeof encodeExecuteRequests>[0]): void {
    if (this.#state !== 'open' || !this.#clerk.alive) return;
    const door = this.#door;
    for (const { body } of requests) {
      if (body.type !== 'withdrawal') this.#network.onCall(callOf(body));
    }
    const message = encodeExecuteRequests(requests);
    const { stream, quality, counters } = this.#network;
    if (stream.chance(quality.breakOnRequest)) {
      counters.add('client: connection broken with a request');
      return this.break();
    }
    if (door === null || this.#isSilent()) return;
    this.#upUs = this.#arrivalUs(this.#upUs);
    const delayUs = this.#upUs - this.#network.world.nowUs;
    this.#network.deliver(door.process, delayUs, () => {
      if (this.#state === 'broken') return;
      try {
        this.#session?.receive(message);
        this.#checkLimits();
      } catch (error) {
        door.onDefect(error);
      }
    });
  }

  close(): void {
    if (this.#state === 'closed') return;
    const wasOpen = this.#state === 'open';
    this.#state = 'closed';
    this.#network.forget(this);
    if (wasOpen) this.#closeServer();
  }

  /** Nothing reaches the clerk from now on. */
  mute(): void {
    this.#muted = true;
    this.#network.counters.add('client: connection gone silent');
  }

  /** Ends the stream for both; what is under way is lost. */
  break(): void {
    if (this.#state !== 'open') return;
    this.#state = 'broken';
    this.#network.forget(this);
    this.#network.counters.add('client: connection broken');
    this.#closeServer();
    const said = `${this.#endpoint.host}: connection reset`;
    const code = this.#greeted ? 'CONNECTION_LOST' : 'UNREACHABLE';
    this.#tell(() => this.#handlers.onClose(new KvError(code, said)));
  }

  #closeServer(): void {
    const session = this.#session;
    if (this.#door === null || session === null) return;
    this.#network.deliver(this.#door.process, this.#network.latencyUs(), () => session.close());
  }

  #connect(): void {
    if (this.#state !== 'open') return;
    const door = this.#network.door(this.#place, this.#endpoint.host);
    if (door === 'silent') return;
    if (door === 'refused') {
      this.#state = 'broken';
      this.#network.forget(this);
      this.#network.counters.add('client: connection refused');
      return this.#tell(() => this.#handlers.onClose(unreachable(this.#endpoint)));
    }
    this.#door = door;
    this.#network.deliver(door.process, 0, () => this.#accept(door));
  }

  #accept(door: ClientDoor): void {
    if (this.#state !== 'open') return;
    const { limits } = this.#network;
    this.#session = new ExecuteSession({
      service: door.service,
      clock: door.process.clock,
      send: (message) => this.#reply(door, message),
      bufferedBytes: () => this.#unread,
      onDrained: () => this.break(),
      ...(limits === null ? {} : { limits }),
    });
  }

  /** What waits on a stream has a bound. */
  #checkLimits(): void {
    const { limits, counters } = this.#network;
    const inFlight = this.#session?.inFlight ?? 0;
    if (limits === null || inFlight < limits.inFlightRequestsMax) return;
    counters.add('sometimes: as many requests on a stream as it takes');
    if (inFlight === limits.inFlightRequestsMax) return;
    throw new Violation('queues keep their bounds', `${inFlight} requests wait on one stream`);
  }

  #reply(door: ClientDoor, message: Uint8Array): void {
    if (this.#state !== 'open' || !door.process.alive) return;
    const { stream, quality, counters } = this.#network;
    if (stream.chance(quality.mute)) this.mute();
    if (this.#muted || this.#isSilent()) return;
    if (stream.chance(quality.breakOnReply)) {
      counters.add('client: reply lost');
      return this.break();
    }
    this.#unread += message.length;
    const bytes = message.slice();
    this.#downUs = this.#arrivalUs(this.#downUs);
    const delayUs = this.#downUs - this.#network.world.nowUs;
    this.#network.deliver(this.#clerk, delayUs, () => this.#receive(bytes));
  }

  #receive(bytes: Uint8Array): void {
    this.#unread -= bytes.length;
    if (this.#state !== 'open' || this.#muted) return;
    const reply = decodeExecuteReply(bytes);
    if (reply.type === 'hello') {
      this.#greeted = true;
      this.#handlers.onHello(reply);
    } else {
      if (reply.replies.some(isPart)) {
        this.#network.counters.add('sometimes: revision told in several answers');
      }
      this.#handlers.onReplies(reply.replies);
    }
  }

  #tell(run: () => void): void {
    this.#network.deliver(this.#clerk, this.#network.latencyUs(), () => {
      if (this.#state !== 'closed') run();
    });
  }

  #isSilent(): boolean {
    return this.#network.isSilent(this.#place, this.#endpoint.host);
  }

  #arrivalUs(lastUs: number): number {
    return Math.max(lastUs, this.#network.world.nowUs + this.#network.latencyUs());
  }
}

function callOf(body: Exclude<ExecuteRequest['body'], { type: 'withdrawal' }>): ClientCall {
  if (body.type === 'query') return body.query.query.type;
  const command = decodeCommand(body.command);
  return command.type === 'operation' ? command.operation.type : command.type;
}

/** A page of the history that ends within a revision. */
function isPart({ answer: bytes }: IdentifiedAnswer): boolean {
  if (bytes.length < API_LIMITS.changesPageBytesMax / 2) return false;
  const answer = decodeAnswer(bytes);
  return answer.type === 'changes' && answer.skip > 0;
}

function unreachable({ host }: Endpoint): KvError {
  return new KvError('UNREACHABLE', `${host}: connection refused`);
}
