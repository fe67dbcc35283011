/** Where something listens: a DNS name or an IP address, and a TCP port 0 … 65535. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Byte streams between processes (TCP). */
export interface Network {
  /**
   * Listens; port 0 lets the system pick. Rejects with an Error whose `code` is EADDRINUSE, EACCES,
   * …
   */
  listen(address: Address, onConnection: (connection: Connection) => void): Promise<Listener>;
  /** Starts connecting; the outcome arrives at the handlers. */
  connect(address: Address): Connection;
}

/** An open listening socket. */
export interface Listener {
  /** Where it really listens (the picked port). */
  readonly address: Address;
  /** Stops accepting; open connections stay. */
  close(): Promise<void>;
}

/** What a connection tells its owner. Set once with `Connection.start`, before any event. */
export interface ConnectionHandlers {
  /** An outgoing connection is established. */
  onOpen?(): void;
  /** Bytes arrived; the array is the owner's to keep. */
  onData(bytes: Uint8Array): void;
  /** What was buffered has left: `write` may go on. */
  onDrain?(): void;
  /** The connection has ended, once, for whatever reason; `error` is null after a clean end. */
  onClose(error: Error | null): void;
}

/** One TCP connection. */
export interface Connection {
  /** The other side, for log lines. */
  readonly remote: string;
  /** Bytes accepted by `write` that have not left yet. */
  readonly bufferedBytes: number;
  start(handlers: ConnectionHandlers): void;
  /**
   * Queues bytes; false means: wait for `onDrain` before writing bulk. The array must not change
   * afterwards.
   */
  write(bytes: Uint8Array): boolean;
  /**
   * The other side has proved to be this host (a name or an IP address), by its certificate. Always
   * true where the network asks for no proof.
   */
  provesHost(host: string): boolean;
  /** Cuts the connection at once; `onClose` follows. */
  destroy(): void;
}
