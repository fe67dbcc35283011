import { LinkProxy } from './link-proxy.ts';

/** Where a member really listens on the loopback interface. */
export interface MemberPorts {
  readonly client: number;
  readonly peer: number;
}

const HOST = '127.0.0.1';

/** The links of a cluster: a proxy per ordered pair of members, and per client name and member. */
export class Links {
  readonly #ports: ReadonlyMap<string, MemberPorts>;
  readonly #peers = new Map<string, LinkProxy>();
  readonly #clients = new Map<string, LinkProxy>();

  private constructor(ports: ReadonlyMap<string, MemberPorts>) {
    this.#ports = ports;
  }

  /** Opens the links between all members; `ports` says where each listens. */
  static async open(ports: ReadonlyMap<string, MemberPorts>): Promise<Links> {
    const links = new Links(ports);
    for (const from of ports.keys()) {
      for (const [to, { peer }] of ports) {
        if (from === to) continue;
        links.#peers.set(keyOf(from, to), await LinkProxy.open({ host: HOST, port: peer }));
      }
    }
    return links;
  }

  /** The link on which `from` dials `to`: it carries what `from` sends. */
  peer(from: string, to: string): LinkProxy {
    const link = this.#peers.get(keyOf(from, to));
    if (link === undefined) throw new Error(`there is no link from ${from} to ${to}`);
    return link;
  }

  /** The link of one client, by a name of its own, to a member; opened at first use. */
  async client(client: string, member: string): Promise<LinkProxy> {
    const key = keyOf(client, member);
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const ports = this.#ports.get(member);
    if (ports === undefined) throw new Error(`there is no member ${member}`);
    const link = await LinkProxy.open({ host: HOST, port: ports.client });
    this.#clients.set(key, link);
    return link;
  }

  /** Links between `member` and all others, both directions. */
  around(member: string): LinkProxy[] {
    const others = [...this.#ports.keys()].filter((name) => name !== member);
    return others.flatMap((other) => [this.peer(member, other), this.peer(other, member)]);
  }

  /** Cuts every link between members of different groups; a member in no group is alone. */
  partition(groups: readonly (readonly string[])[]): void {
    const groupOf = (name: string): number => groups.findIndex((group) => group.includes(name));
    for (const from of this.#ports.keys()) {
      for (const to of this.#ports.keys()) {
        if (from === to) continue;
        const together = groupOf(from) !== -1 && groupOf(from) === groupOf(to);
        if (together) this.peer(from, to).heal();
        else this.peer(from, to).cut('silent');
      }
    }
  }

  /** Heals all links, those of clients too. */
  heal(): void {
    for (const link of [...this.#peers.values(), ...this.#clients.values()]) link.heal();
  }

  async close(): Promise<void> {
    const links = [...this.#peers.values(), ...this.#clients.values()];
    await Promise.all(links.map((link) => link.close()));
  }
}

function keyOf(from: string, to: string): string {
  return `${from} ${to}`;
}
