import type { Bug } from './bug.ts';
import { DISK_BUGS } from './disk.ts';
import { FORWARDING_BUGS } from './forwarding.ts';
import { INSIDE_BUGS } from './inside.ts';
import { LOSS_BUGS } from './losses.ts';
import { MACHINE_BUGS } from './machine.ts';
import { MESSAGE_BUGS } from './messages.ts';
import { RAFT_BUGS } from './raft.ts';
import { RESOURCE_BUGS } from './resources.ts';
import { CLIENT_BUGS, SERVICE_BUGS } from './service.ts';
import { SNAPSHOT_BUGS } from './snapshots.ts';
import { WATCH_BUGS } from './watches.ts';

export type { Bug } from './bug.ts';

/** Everything that the simulator must find. */
export const BUGS: readonly Bug[] = [
  ...DISK_BUGS,
  ...MESSAGE_BUGS,
  ...RAFT_BUGS,
  ...INSIDE_BUGS,
  ...SNAPSHOT_BUGS,
  ...LOSS_BUGS,
  ...MACHINE_BUGS,
  ...FORWARDING_BUGS,
  ...SERVICE_BUGS,
  ...CLIENT_BUGS,
  ...WATCH_BUGS,
  ...RESOURCE_BUGS,
];
