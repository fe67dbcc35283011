import { Caller } from '../../src/etcd/testing/caller.ts';
import { type Server, startServer } from '../../src/server/index.ts';
import { RealEtcd } from './real-etcd.ts';

/**
 * A real etcd and a member of ours, both new, with a caller for each. Ours says that it is where
 * the other one is, so that both have the same ids.
 */
export class Sides {
  readonly theirs: Caller;
  readonly ours: Caller;
  readonly #etcd: RealEtcd;
  readonly #server: Server;

  private constructor(etcd: RealEtcd, server: Server) {
    this.#etcd = etcd;
    this.#server = server;
    this.theirs = new Caller(etcd.address);
    this.ours = new Caller(new URL(server.clientUrls[0] ?? '').host);
  }

  static async start(): Promise<Sides> {
    const etcd = await RealEtcd.start();
    const server = await startServer({
      dataDir: { memory: true },
      listenClientUrls: ['http://127.0.0.1:0'],
      listenPeerUrls: ['http://127.0.0.1:0'],
      initialAdvertisePeerUrls: [etcd.urls.peer],
      advertiseClientUrls: [etcd.urls.client],
      initialClusterToken: 'etcd-cluster',
    });
    await server.ready;
    return new Sides(etcd, server);
  }

  /** Holds the same conversation with both; their answers in that order. */
  both<T>(talk: (side: Caller) => Promise<T>): Promise<[theirs: T, ours: T]> {
    return Promise.all([talk(this.theirs), talk(this.ours)]);
  }

  async close(): Promise<void> {
    this.theirs.close();
    this.ours.close();
    await this.#server.close();
    await this.#etcd.stop();
  }
}
