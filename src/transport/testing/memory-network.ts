import type {
  Address,
  Clock,
  Connection,
  ConnectionHandlers,
  Listener,
  Network,
} from '../../io/index.ts';

/** Bytes a connection takes before `write` says to wait. */
const WINDOW_BYTES = 64 * 1024;

type Segment = { readonly bytes: Uint8Array } | { readonly end: Error | null };

/**
 * TCP between named hosts, in memory and on a given clock. A cut direction holds everything, as TCP
 * does by retransmission, until it is healed; a host without power answers nothing and forgets all.
 */
export class MemoryNetwork {
  readonly clock: Clock;
  readonly latencyMs: number;
  /** Changes bytes on their way; the identity unless a test replaces it. */
  tamper: (bytes: Uint8Array, from: string, to: string) => Uint8Array = (bytes) => bytes;
  /** Whether a host can prove to be another; everybody unless a test replaces it. */
  provesHost: (claimed: string, host: string) => boolean = () => true;
  readonly listeners = new Map<string, (connection: Connection) => void>();
  readonly #cuts = new Set<string>();
  readonly #ends = new Set<MemoryConnection>();
  #port = 1000;

  constructor(clock: Clock, latencyMs = 1) {
    this.clock = clock;
    this.latencyMs = latencyMs;
  }

  /** Ends of connections that are open or opening. */
  get openEnds(): number {
    return this.#ends.size;
  }

  /** The network as one host sees it. */
  host(name: string): Network {
    return {
      listen: (address, onConnection) => this.#listen(name, address, onConnection),
      connect: (address) => this.#connect(name, address),
    };
  }

  /** Bytes from one host to another no longer arrive. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  heal(from: string, to: string): void {
    this.#cuts.delete(`${from}>${to}`);
    for (const end of this.#ends) end.deliver();
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  /** Ends of connections at this host, in the order they were made. */
  endsAt(host: string): MemoryConnection[] {
    return [...this.#ends].filter((end) => end.host === host);
  }

  /** The host dies without a word: its connections are gone, the other ends do not know. */
  powerOff(host: string): void {
    for (const key of this.listeners.keys()) {
      if (key.startsWith(`${host}:`)) this.listeners.delete(key);
    }
    for (const end of this.endsAt(host)) end.vanish();
  }

  forget(end: MemoryConnection): void {
    this.#ends.delete(end);
  }

  async #listen(
    host: string,
    address: Address,
    onConnection: (connection: Connection) => void,
  ): Promise<Listener> {
    const port = address.port === 0 ? this.#port++ : address.port;
    const key = `${host}:${port}`;
    if (this.listeners.has(key)) throw Object.assign(new Error(key), { code: 'EADDRINUSE' });
    this.listeners.set(key, onConnection);
    return {
      address: { host, port },
      close: async () => {
        if (this.listeners.get(key) === onConnection) this.listeners.delete(key);
      },
    };
  }

  #connect(host: string, address: Address): Connection {
    const near = new MemoryConnection(this, host, `${address.host}:${address.port}`);
    const far = new MemoryConnection(this, address.host, `${host}:${this.#port++}`);
    near.join(far);
    this.#ends.add(near);
    near.dial(() => {
      const accept = this.listeners.get(`${address.host}:${address.port}`);
      if (accept === undefined) return false;
      this.#ends.add(far);
      accept(far);
      return true;
    });
    return near;
  }
}

/** One end of a connection. */
export class MemoryConnection implements Connection {
  readonly host: string;
  readonly remote: string;
  /** Holds what arrives at this end, as a receiver that does not read. */
  paused = false;
  readonly #network: MemoryNetwork;
  #far: MemoryConnection | null = null;
  #handlers: ConnectionHandlers | null = null;
  #closed = false;
  /** The host lost power: this end knows nothing any more. */
  #vanished = false;
  /** On its way to this end, with the time before which it can't arrive. */
  #incoming: { segment: Segment; dueMs: number }[] = [];
  #waitsForDrain = false;
  /** Tries to reach the listener; null once that is over. */
  #dialling: (() => boolean) | null = null;
  /** When the listener can have been reached at the earliest. */
  #dialDueMs = 0;

  constructor(network: MemoryNetwork, host: string, remote: string) {
    this.#network = network;
    this.host = host;
    this.remote = remote;
  }

  /** The host at the other end. */
  get farHost(): string {
    return this.#far?.host ?? '';
  }

  join(far: MemoryConnection): void {
    this.#far = far;
    far.#far = this;
  }

  dial(reach: () => boolean): void {
    const { clock, latencyMs } = this.#network;
    this.#dialling = reach;
    this.#dialDueMs = clock.nowMs() + latencyMs * 2;
    clock.setTimer(latencyMs * 2, () => this.deliver());
  }

  get bufferedBytes(): number {
    return Math.max(0, (this.#far?.incomingBytes ?? 0) - WINDOW_BYTES);
  }

  get incomingBytes(): number {
    let bytes = 0;
    for (const { segment } of this.#incoming) if ('bytes' in segment) bytes += segment.bytes.length;
    return bytes;
  }

  start(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
    this.deliver();
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed) return false;
    this.#send({ bytes: this.#network.tamper(bytes, this.host, this.#far?.host ?? '') });
    this.#waitsForDrain = this.bufferedBytes > 0;
    return !this.#waitsForDrain;
  }

  provesHost(host: string): boolean {
    return this.#network.provesHost(host, this.#far?.host ?? '');
  }

  destroy(): void {
    if (this.#closed || this.#vanished) return;
    this.#send({ end: null });
    this.#network.clock.defer(() => this.#finish(null));
    this.#closed = true;
  }

  vanish(): void {
    this.#vanished = true;
    this.#closed = true;
    this.#incoming = [];
    this.#network.forget(this);
  }

  /** Hands over what has arrived and is not held back. */
  deliver(): void {
    const far = this.#far;
    if (far === null || this.#closed || this.#handlers === null) return;
    if (this.#dialling !== null) return this.#open(far, this.#dialling);
    while (!this.paused && !this.#closed && !this.#network.isCut(far.host, this.host)) {
      const next = this.#incoming[0];
      if (next === undefined || next.dueMs > this.#network.clock.nowMs()) return;
      this.#incoming.shift();
      if ('bytes' in next.segment) this.#handlers.onData(next.segment.bytes);
      else this.#finish(next.segment.end);
      far.#drain();
    }
  }

  /** Hands over at most `bytesMax` of the bytes that wait at this end, though it is paused. */
  trickle(bytesMax: number): void {
    const next = this.#incoming[0];
    if (next === undefined || !('bytes' in next.segment)) return;
    const { bytes } = next.segment;
    if (bytes.length <= bytesMax) this.#incoming.shift();
    else {
      const segment = { bytes: bytes.subarray(bytesMax) };
      this.#incoming[0] = { segment, dueMs: next.dueMs };
    }
    this.#handlers?.onData(bytes.subarray(0, bytesMax));
    if (this.#far !== null) this.#far.#drain();
  }

  #open(far: MemoryConnection, reach: () => boolean): void {
    const { isCut } = this.#network;
    const cut = [
      [this.host, far.host],
      [far.host, this.host],
    ].some(([from, to]) => isCut.call(this.#network, from ?? '', to ?? ''));
    if (cut || this.#network.clock.nowMs() < this.#dialDueMs) return;
    this.#dialling = null;
    if (reach()) return this.#handlers?.onOpen?.();
    this.#closed = true;
    this.#finish(Object.assign(new Error('ECONNREFUSED'), { code: 'ECONNREFUSED' }));
  }

  #send(segment: Segment): void {
    const far = this.#far;
    if (far === null || this.#dialling !== null) return;
    const { clock, latencyMs } = this.#network;
    if (far.#vanished) {
      // The host came back and knows nothing of this connection: reset. Without power: silence.
      const back = [...this.#network.listeners.keys()].some((key) =>
        key.startsWith(`${far.host}:`),
      );
      if (back) this.#incoming.push({ segment: { end: new Error('ECONNRESET') }, dueMs: 0 });
      clock.setTimer(latencyMs, () => this.deliver());
      return;
    }
    far.#incoming.push({ segment, dueMs: clock.nowMs() + latencyMs });
    clock.setTimer(latencyMs, () => far.deliver());
  }

  #drain(): void {
    if (!this.#waitsForDrain || this.#closed || this.bufferedBytes > 0) return;
    this.#waitsForDrain = false;
    this.#handlers?.onDrain?.();
  }

  #finish(error: Error | null): void {
    this.#closed = true;
    this.#network.forget(this);
    const handlers = this.#handlers;
    this.#handlers = null;
    handlers?.onClose(error);
  }
}
