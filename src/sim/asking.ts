import type { MemberId } from '../raft/index.ts';
import type { OpenAskLink } from '../server/index.ts';
import type { Holdings } from './holdings.ts';
import type { PeerEndpoint, PeerNetwork } from './peer-network.ts';
import type { Process } from './process.ts';
import type { World } from './world.ts';

/** Links at a member's place in the network while it asks, before there is a replica. */
export function askLinks(
  id: MemberId,
  {
    world,
    network,
    process,
    holdings,
  }: {
    readonly world: World;
    readonly network: PeerNetwork;
    readonly process: Process;
    readonly holdings: Holdings;
  },
): OpenAskLink {
  return async (onMessage) => {
    const endpoint: PeerEndpoint = {
      process,
      asks: true,
      handlers: {
        onMessage: (message) => {
          // An answer may be enough.
          world.movePromises();
          onMessage(message);
        },
        onBulk: () => {},
        onUnreachable: () => {},
      },
    };
    network.attach(id, endpoint);
    const closed = holdings.hold('links to ask');
    const transport = network.transport(id, endpoint, () => ({ name: '', clientUrls: [] }));
    return {
      send: (messages) => transport.send(messages),
      close: async () => {
        network.detach(id, endpoint);
        closed();
      },
    };
  };
}
