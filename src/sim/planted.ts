import type { KvService } from '../api/index.ts';
import type { ChannelFactory } from '../client/index.ts';
import type { Clock, Disk } from '../io/index.ts';
import type { Transport, TransportHandlers } from '../transport/index.ts';
import type { Device } from './sim-disk.ts';

/**
 * Wrappers around what production code stands on, for planting bugs: a simulator that finds nothing
 * has shown nothing. None of them in an ordinary run.
 */
export interface Planted {
  disk?(disk: Disk, clock: Clock): Disk;
  transport?(transport: Transport): Transport;
  /** What a member hears from its peers. */
  handlers?(handlers: TransportHandlers): TransportHandlers;
  service?(service: KvService): KvService;
  channels?(channels: ChannelFactory): ChannelFactory;
  /** The disk as the next incarnation finds it. */
  restart?(device: Device): void;
  /** Puts methods in the place of production classes'; the function returned takes them back. */
  substitute?(): () => void;
}
