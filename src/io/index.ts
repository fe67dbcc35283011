/**
 * Every source of nondeterminism as an interface (clock, randomness, disk, network, log), and the
 * real one of each. Production code gets an `Io` from its composition root, and the simulator
 * hands the same code another.
 */
import type { Clock } from './clock.ts';
import type { Disk } from './disk.ts';
import type { Log } from './log.ts';
import type { Network } from './network.ts';
import type { Random } from './random.ts';

export { type Clock, systemClock, type Timer } from './clock.ts';
export { type Disk, DiskError, type DiskFile, type DiskLock } from './disk.ts';
export { type Log, type LogFields, silentLog } from './log.ts';
export { memoryDisk } from './memory-disk.ts';
export type { Address, Connection, ConnectionHandlers, Listener, Network } from './network.ts';
export { type Random, systemRandom } from './random.ts';
export { RepeatGate } from './repeat-gate.ts';
export { systemDisk } from './system-disk.ts';
export { systemNetwork } from './system-network.ts';
export { type TlsCredentials, TlsError, type TlsFiles } from './tls-credentials.ts';
export { TLS_LIMITS } from './tls-limits.ts';
export { openTlsMaterial, type TlsMaterial, type TlsMaterialOptions } from './tls-material.ts';
export { type TlsNetworkOptions, tlsNetwork } from './tls-network.ts';
export { TLS_PROTOCOL, type TlsProtocol, tlsProtocol } from './tls-protocol.ts';
export { ALL_NAMES, type AllowedNames, type ShownCertificate } from './tls-rules.ts';
export { keepSelfSigned, type SelfSignedOptions } from './tls-self-signed.ts';
export { createTlsServer, type OnCaller, type TlsServerOptions } from './tls-server.ts';

/** The outside world, as one value. */
export interface Io {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly log: Log;
  readonly network: Network;
  readonly random: Random;
}
