/** Bounds of reading and writing. */
export const BOLT_LIMITS = {
  /** Of a key, as bbolt has it. */
  keyBytesMax: 32_768,
  /**
   * Of a leaf with its overflow: what reading takes into memory at a time. etcd keeps at least two
   * rows of up to --max-request-bytes (1.5 MiB) in one.
   */
  leafBytesMax: 128 * 1024 * 1024,
  /** Of a branch, all of those on the way to a leaf being in memory: thirty of the longest keys. */
  branchBytesMax: 1024 * 1024,
  /** Pages from the root of a bucket down to its rows; twice as deep as 2^48 bytes of pages. */
  depthMax: 32,
  /** Pages are written when there are so many bytes of them. */
  writeBytes: 256 * 1024,
} as const;
