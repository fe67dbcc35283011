/** A KvService that does what the test says. */
import type { KvService, MemberStatus, Query, Reply, Withdraw } from '../../api/index.ts';

export function testStatus(): MemberStatus {
  return {
    clusterId: 0xc1n,
    memberId: 0xa1n,
    name: 'one',
    version: '1.2.3',
    role: 'follower',
    leader: { memberId: 0xb2n, clientUrls: ['http://10.0.0.2:2379', 'http://10.0.0.3:2379'] },
    term: 3,
    commitIndex: 10,
    appliedIndex: 9,
    revision: 7,
    stateHash: 'ab',
    sessions: 1,
    logBytes: 4096,
  };
}

/** What reached the service, unanswered until the test answers. */
export class TestService implements KvService {
  readonly commands: { readonly command: Uint8Array; readonly reply: Reply }[] = [];
  readonly queries: { readonly query: Query; readonly reply: Reply }[] = [];
  /** Queries that were withdrawn, by their place among those that reached the service. */
  readonly withdrawn: number[] = [];
  /** Called after every arrival. */
  onArrival: () => void = () => {};

  execute(command: Uint8Array, reply: Reply): void {
    this.commands.push({ command: command.slice(), reply });
    this.onArrival();
  }

  read(query: Query, reply: Reply): Withdraw {
    const place = this.queries.push({ query, reply }) - 1;
    this.onArrival();
    return () => void this.withdrawn.push(place);
  }

  status(): MemberStatus {
    return testStatus();
  }
}
