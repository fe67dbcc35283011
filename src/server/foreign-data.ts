import { type Disk, DiskError } from '../io/index.ts';
import { ConfigError } from './options.ts';

/** What etcd keeps its data in, below its data directory. */
const ETCD_FOLDER = 'member';
/** What is there as soon as a member of ours was started. */
const OUR_FOLDER = 'wal';

/**
 * Refuses to begin with nothing where etcd has data: whoever starts a member there means to go on
 * with them.
 * @throws ConfigError; DiskError when the directory cannot be read.
 */
export async function refuseEtcdData(disk: Disk, directory: string): Promise<void> {
  const names = await namesIn(disk, directory);
  if (!names.includes(ETCD_FOLDER) || names.includes(OUR_FOLDER)) return;
  throw new ConfigError(
    `--data-dir: '${directory}' holds data of etcd, which are taken over by a snapshot: ` +
      "'etcdctl snapshot save FILE', then 'quorate snapshot restore FILE --data-dir ANOTHER'",
  );
}

async function namesIn(disk: Disk, directory: string): Promise<string[]> {
  try {
    return await disk.list(directory);
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return [];
    throw error;
  }
}
