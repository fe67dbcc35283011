import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import type { GrpcServer } from '../grpc/index.ts';
import {
  type Address,
  type AllowedNames,
  type Clock,
  createTlsServer,
  type Log,
  systemClock,
  type Timer,
  type TlsMaterial,
} from '../io/index.ts';
import { concatBytes } from '../lib/index.ts';
import { DOOR_LIMITS, type DoorLimits } from './limits.ts';
import { type Protocol, protocolOf } from './sniff.ts';

/** The port for clients: gRPC and HTTP/1.1 side by side. */
export interface Door {
  /** Where it really listens (the picked port). */
  readonly address: Address;
  /** Stops accepting and cuts what is not gRPC; gRPC's connections are its server's to close. */
  close(): Promise<void>;
}

/** How a door speaks TLS, and with whom. */
export interface DoorTls {
  readonly material: TlsMaterial;
  /** Clients must show a certificate of the trusted authority, one of these. */
  readonly askCertificate: boolean;
  readonly allowed: AllowedNames;
}

export interface DoorOptions {
  readonly listen: Address;
  /** Default: none, the port is plain. */
  readonly tls?: DoorTls | null;
  /** Serves the connections that speak HTTP/2. */
  readonly grpc: GrpcServer;
  /** Serves the requests of those that speak HTTP/1.1. */
  readonly http: RequestListener;
  readonly log: Log;
  /** Default DOOR_LIMITS. */
  readonly limits?: Partial<DoorLimits>;
  /** Default the machine's. */
  readonly clock?: Clock;
}

/** The client port could not be opened: one line that says where, why, and what to do. */
export class DoorError extends Error {
  /** The system's name of the reason: EADDRINUSE, EACCES, … */
  readonly code: string;

  constructor(code: string, message: string, options: { cause: unknown }) {
    super(message, options);
    this.name = 'DoorError';
    this.code = code;
  }
}

/**
 * Opens the client port; resolves when it listens.
 * @throws DoorError when it cannot.
 */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const door = new SniffingDoor(options);
  await door.open();
  return door;
}

/** What is spoken inside TLS (ALPN), the preferred first. */
const TLS_PROTOCOLS = ['h2', 'http/1.1'];

function refusal(said: string): string {
  const head = 'HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n';
  return `${head}${said}\n`;
}

const REFUSAL = refusal('this port speaks HTTP/1.1 and HTTP/2');
const PLAIN = refusal('this port speaks TLS: write https://');

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the address is in use: stop the other process, or choose another port',
  EACCES: 'permission denied: choose a port above 1023, or grant CAP_NET_BIND_SERVICE',
  EADDRNOTAVAIL: 'this machine has no such address: choose one of its own, or 0.0.0.0',
  ENOTFOUND: 'the name is unknown: choose an address of this machine',
};

class SniffingDoor implements Door {
  address: Address;
  readonly #grpc: GrpcServer;
  readonly #log: Log;
  readonly #limits: DoorLimits;
  readonly #clock: Clock;
  readonly #listener: Server;
  readonly #http: HttpServer;
  /** Does the handshakes; it listens nowhere itself. null: the port is plain. */
  readonly #tls: TlsServer | null;
  /** Connections that are not gRPC's: undecided ones and HTTP/1.1. */
  readonly #sockets = new Map<Socket, Timer>();
  /** Called by the last of them that goes. */
  #onEmpty: () => void = () => {};
  #closing: Promise<void> | null = null;
  #complaints = { loggedMs: Number.NEGATIVE_INFINITY, suppressed: 0 };

  constructor(options: DoorOptions) {
    const { listen, grpc, http, log, limits, clock = systemClock, tls = null } = options;
    this.address = listen;
    this.#grpc = grpc;
    this.#log = log;
    this.#limits = { ...DOOR_LIMITS, ...limits };
    this.#clock = clock;
    // Half open: a client that has sent its request and its FIN still gets the answer.
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true });
    this.#listener.maxConnections = this.#limits.connectionsMax;
    this.#listener.on('connection', (socket) => this.#sniff(socket, false));
    this.#listener.on('drop', (data) =>
      this.#complain('too many connections', data?.remoteAddress),
    );
    this.#http = createHttpServer(
      // What is idle is ours to cut, as this server listens nowhere itself.
      { maxHeaderSize: this.#limits.httpHeaderBytesMax, keepAliveTimeout: 0 },
      (request, response) => {
        this.#watchRequest(request, response);
        http(request, response);
      },
    );
    this.#tls = tls === null ? null : this.#createTls(tls);
    this.#http.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end(REFUSAL);
      else socket.destroy();
    });
  }

  async open(): Promise<void> {
    const { host, port } = this.address;
    await new Promise<void>((resolve, reject) => {
      this.#listener.once('error', (error: NodeJS.ErrnoException) => {
        const code = error.code ?? 'UNKNOWN';
        const where = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
        const text = `cannot listen for clients on ${where}: ${ADVICE[code] ?? error.message}`;
        reject(new DoorError(code, text, { cause: error }));
      });
      this.#listener.listen({ host, port }, resolve);
    });
    this.#listener.removeAllListeners('error');
    this.#listener.on('error', (error) => this.#complain(`accept failed: ${error.message}`));
    this.address = { host, port: (this.#listener.address() as AddressInfo).port };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#listener.close();
    this.#tls?.close();
    if (this.#sockets.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      for (const socket of [...this.#sockets.keys()]) socket.destroy();
    });
  }

  #createTls({ material, askCertificate, allowed }: DoorTls): TlsServer {
    return createTlsServer(
      {
        material,
        askCertificate,
        allowed,
        protocols: TLS_PROTOCOLS,
        clock: this.#clock,
        log: this.#log,
        limits: { handshakesMax: this.#limits.handshakesMax },
      },
      (socket) => {
        if (this.#closing === null) this.#sniff(socket, true);
        else socket.destroy();
      },
    );
  }

  /**
   * Waits for a connection's first bytes and hands it, with them, to who speaks its language. On a
   * TLS port that is done twice: `inside` is what the handshake has opened.
   */
  #sniff(socket: Socket, inside: boolean): void {
    let seen: Uint8Array = new Uint8Array(0);
    this.#watch(socket, this.#limits.firstBytesMs);
    socket.on('error', (error) => this.#log.debug(`client socket: ${error.message}`));
    socket.on('close', () => this.#forget(socket));
    const onEnd = (): void => void socket.destroy();
    const onData = (chunk: Uint8Array): void => {
      seen = seen.length === 0 ? chunk : concatBytes([seen, chunk]);
      const protocol = protocolOf(seen);
      if (protocol === null) return;
      socket.off('data', onData);
      socket.off('end', onEnd);
      socket.pause();
      if (this.#tls === null || inside) this.#handOver(socket, protocol, seen);
      else this.#startTls(socket, protocol, seen);
    };
    socket.on('data', onData);
    socket.on('end', onEnd);
  }

  #startTls(socket: Socket, protocol: Protocol, seen: Uint8Array): void {
    if (protocol !== 'tls') {
      this.#refuse(socket, 'a client speaks plain to this port, which is TLS: use https://', PLAIN);
      return;
    }
    this.#forget(socket);
    socket.unshift(seen);
    this.#tls?.emit('connection', socket);
  }

  #handOver(socket: Socket, protocol: Protocol, seen: Uint8Array): void {
    switch (protocol) {
      case 'http2':
        this.#forget(socket);
        socket.unshift(seen);
        this.#grpc.handleSocket(socket);
        return;
      case 'http1':
        this.#watch(socket, this.#limits.httpRequestMs);
        socket.unshift(seen);
        this.#http.emit('connection', socket);
        socket.resume();
        return;
      case 'tls':
        this.#refuse(socket, 'a client speaks TLS to this port, which is plain: use http://');
        return;
      case 'unknown':
        this.#refuse(socket, 'a client speaks neither HTTP/1.1 nor HTTP/2');
        return;
    }
  }

  #refuse(socket: Socket, complaint: string, said: string = REFUSAL): void {
    this.#complain(complaint, socket.remoteAddress);
    socket.end(said, () => socket.destroy());
  }

  /** A request may take its time only while it is answered: a stream of changes never ends. */
  #watchRequest(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const { httpRequestMs, httpIdleMs } = this.#limits;
    const timer = this.#watch(socket, httpRequestMs, () => response.headersSent);
    request.on('end', () => timer.cancel());
    response.on('close', () => {
      if (this.#sockets.has(socket)) this.#watch(socket, httpIdleMs);
    });
  }

  /** Gives a connection of ours that much time from now, and more if it is excused then. */
  #watch(socket: Socket, delayMs: number, isExcused: () => boolean = () => false): Timer {
    this.#sockets.get(socket)?.cancel();
    const timer = this.#clock.setTimer(delayMs, () => {
      if (!isExcused()) socket.destroy();
    });
    this.#sockets.set(socket, timer);
    return timer;
  }

  #forget(socket: Socket): void {
    this.#sockets.get(socket)?.cancel();
    this.#sockets.delete(socket);
    if (this.#sockets.size === 0) this.#onEmpty();
  }

  /** One line now and then: clients must not be able to fill the log. */
  #complain(message: string, remote?: string): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#complaints.loggedMs < this.#limits.logIntervalMs) {
      this.#complaints.suppressed++;
      return;
    }
    const { suppressed } = this.#complaints;
    this.#complaints = { loggedMs: nowMs, suppressed: 0 };
    this.#log.warn(message, { remote, suppressed });
  }
}
