import { createServer, Socket } from 'node:net';
import { boundedLookup } from './bounded-lookup.ts';
import type { Address, Connection, Listener, Network } from './network.ts';
import { PLAIN, remoteOf, SocketConnection, startListening } from './socket-connection.ts';

/** Half of Node's threads at most: the log needs one at any time. */
const LOOKUPS_IN_FLIGHT_MAX = 2;
/** Names to addresses, for everything that dials. */
export const lookUp = boundedLookup(LOOKUPS_IN_FLIGHT_MAX);

/** TCP of the machine. Small writes leave at once (no Nagle); errors arrive at `onClose` only. */
export const systemNetwork: Network = { listen, connect };

function listen(
  address: Address,
  onConnection: (connection: Connection) => void,
): Promise<Listener> {
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    onConnection(new SocketConnection(socket, remoteOf(socket), PLAIN));
  });
  return startListening(server, address);
}

function connect(address: Address): Connection {
  // Not as options of connect(), which ignores them: Nagle's algorithm would wait for a delayed
  // acknowledgement, 40 ms, behind every small message on a lane where nothing flows back.
  const socket = new Socket().setNoDelay(true).setKeepAlive(true);
  const connection = new SocketConnection(socket, `${address.host}:${address.port}`, PLAIN);
  try {
    const { host, port } = address;
    socket.connect({ host, port, lookup: lookUp });
  } catch (error) {
    // Refused before it began (a port out of range): the owner learns it as any other failure.
    socket.destroy(error instanceof Error ? error : new Error(String(error)));
  }
  return connection;
}
