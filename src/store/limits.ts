/**
 * The longest key in bytes: 1,536 of a client's key behind 16 of a prefix. LMDB takes 1,978 with
 * pages of 4,096 bytes.
 */
export const KEY_BYTES_MAX = 1_552;

/** Tables of one engine: a byte says which; 0 and 255 are the engine's own. */
export const TABLES_MAX = 254;

/** Bytes of a table's name. */
export const TABLE_NAME_BYTES_MAX = 64;

/** What a row costs in an overlay beside its own bytes, roughly. */
export const ROW_OVERHEAD_BYTES = 64;

/** A block of a snapshot is closed when its rows have this many bytes. */
export const SNAPSHOT_BLOCK_BYTES = 64 * 1024;

/** The largest block a reader takes: one row may be larger than `SNAPSHOT_BLOCK_BYTES`. */
export const SNAPSHOT_BLOCK_BYTES_MAX = 64 * 1024 * 1024;

/** The largest `meta` of a snapshot. */
export const SNAPSHOT_META_BYTES_MAX = 1024 * 1024;

/** Chunks of an image that are read before somebody asks for them. */
export const IMAGE_CHUNKS_AHEAD = 4;

/**
 * An image that comes in is synced whenever so many bytes of it were written: the log's own syncs
 * stand behind these on the disk, and wait for as long as one of them takes.
 */
export const IMAGE_SYNC_BYTES = 1024 * 1024;

/** A restore commits when this many bytes of rows have come: some 5 ms of the event loop. */
export const RESTORE_COMMIT_BYTES = 512 * 1024;
