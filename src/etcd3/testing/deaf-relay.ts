import net from 'node:net';

/** A TCP relay that can lose answers: what the client sends still arrives. */
export class DeafRelay {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** Clients that hear nothing any more. */
  readonly #deaf = new WeakSet<net.Socket>();

  private constructor(server: net.Server) {
    this.#server = server;
  }

  /** @param url of what it stands in front of */
  static async start(url: string): Promise<DeafRelay> {
    const { hostname, port } = new URL(url);
    const server = net.createServer({ noDelay: true });
    const relay = new DeafRelay(server);
    server.on('connection', (near) => {
      const far = net.connect({ host: hostname, port: Number(port), noDelay: true });
      far.on('data', (bytes) => {
        if (!relay.#deaf.has(near)) near.write(bytes);
      });
      near.on('data', (bytes) => void far.write(bytes));
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        relay.#sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          relay.#sockets.delete(one);
          other.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  /** `host:port` */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  /** On the connections that there are answers are lost from now on. */
  deafen(): void {
    for (const socket of this.#sockets) this.#deaf.add(socket);
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }
}
