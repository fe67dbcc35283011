import { Counter, type Registry } from 'prom-client';
import type { MemberId } from '../raft/index.ts';
import type { Peer, TransportHandlers, TransportMetrics } from '../transport/index.ts';

/** What is said about the links to other members. */
export interface PeerSources {
  /** Null while there are no links. */
  readonly traffic: () => Pick<TransportMetrics, 'bytesSent' | 'bytesReceived'> | null;
  /** How often messages to a member were lost, by its id. */
  readonly sendFailures: ReadonlyMap<MemberId, number>;
}

export function registerSendFailures(
  registry: Registry,
  { sendFailures }: Pick<PeerSources, 'sendFailures'>,
): void {
  new Counter({
    name: 'etcd_network_peer_sent_failures_total',
    help: 'Times that messages to a member were lost; at most one a second is counted.',
    labelNames: ['To'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [id, failures] of sendFailures) this.inc({ To: id.toString(16) }, failures);
    },
  });
}

/** The same handlers, and how often they were told that messages to a peer were lost. */
export function countSendFailures(
  handlers: TransportHandlers,
  peers: readonly Pick<Peer, 'memberId'>[],
): { readonly handlers: TransportHandlers } & Pick<PeerSources, 'sendFailures'> {
  const sendFailures = new Map(peers.map(({ memberId }) => [memberId, 0]));
  const onUnreachable = (memberId: MemberId): void => {
    sendFailures.set(memberId, (sendFailures.get(memberId) ?? 0) + 1);
    handlers.onUnreachable(memberId);
  };
  return { handlers: { ...handlers, onUnreachable }, sendFailures };
}
