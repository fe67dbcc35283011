/**
 * Databases of bbolt, the file that etcd keeps its state in: written in one go from rows in order,
 * and read without believing anything that the file says. There is no changing one in place, and no
 * transaction: it is a format to come from etcd with and to go to it.
 *
 *   format.ts   the bytes: pages, heads
 *   writer.ts   rows → trees of pages (page.ts), bottom up, in bounded memory
 *   reader.ts   trees of pages → rows
 */
export { BoltError } from './error.ts';
export { looksLikeBolt } from './format.ts';
export {
  type BoltBucket,
  BoltReader,
  type BoltRow,
  type ByteSource,
  bytesSource,
} from './reader.ts';
export { type BoltBucketRows, writeBolt } from './writer.ts';
