import { Histogram, type Registry } from 'prom-client';
import type { StateTimers } from './state.ts';

/** Durations of what goes to the disk and comes from it, seconds; etcd's names and buckets. */
export interface DiskTimes {
  /** One durable write to the log. */
  readonly walWrite: Histogram;
  /** One synced transaction of the state. */
  readonly commit: Histogram;
  /** One snapshot, from when its state is fixed until its reader has all of it or goes. */
  readonly snapshot: Histogram;
}

export function diskTimes(): DiskTimes {
  return {
    walWrite: new Histogram({
      name: 'etcd_disk_wal_fsync_duration_seconds',
      help: 'Durable writes to the log.',
      buckets: doubling(0.001, 14),
      registers: [],
    }),
    commit: new Histogram({
      name: 'etcd_disk_backend_commit_duration_seconds',
      help: 'Durable writes of the state: many commands at a time.',
      buckets: doubling(0.001, 14),
      registers: [],
    }),
    snapshot: new Histogram({
      name: 'etcd_disk_backend_snapshot_duration_seconds',
      help: 'Snapshots to other members and to operators, until they are through.',
      buckets: doubling(0.01, 17),
      registers: [],
    }),
  };
}

/** Lets the state measure itself. */
export function stateTimers({ commit, snapshot }: DiskTimes): StateTimers {
  return { flush: () => commit.startTimer(), snapshot: () => snapshot.startTimer() };
}

export function registerDisk(registry: Registry, times: DiskTimes): void {
  registry.registerMetric(times.walWrite);
  registry.registerMetric(times.commit);
  registry.registerMetric(times.snapshot);
}

/** `count` bounds, each twice the one before. */
function doubling(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first * 2 ** i);
}
