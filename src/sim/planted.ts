import type { KvService } from '../api/index.ts';
import type { ChannelFactory } from '../client/index.ts';
import type { Clock, Disk } from '../io/index.ts';
import type { Transport } from '../transport/index.ts';
import type { Device } from './sim-disk.ts';

/**
 * Wrappers around what production code stands on, for planting bugs: a simulator that finds nothing
 * has shown nothing. None of them in an ordinary run.
 */
export interface Planted {
  disk?(disk: Disk, clock: Clock): Disk;
  transport?(transport: Transport): Transport;
  service?(service: KvService): KvService;
  channels?(channels: ChannelFactory): ChannelFactory;
  /** The disk as the next incarnation finds it. */
  restart?(device: Device): void;
}
