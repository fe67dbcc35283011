import { type ProtoReader, ProtoWriter } from '../../lib/index.ts';
import { API_LIMITS } from '../limits.ts';

/** A Txn stands in a TxnOperation, which stands in a Txn, …; the rest of any message is flatter. */
export const MESSAGE_DEPTH_MAX = 2 * API_LIMITS.txnDepthMax + 4;

/** One for all messages: encoding is synchronous and never nested. */
const WRITER = new ProtoWriter();

/** The bytes of the message whose fields `write` writes. */
export function writeMessage(write: (writer: ProtoWriter) => void): Uint8Array {
  WRITER.clear();
  write(WRITER);
  return WRITER.finish();
}

/** A message without fields of ours. */
export function readNothing(reader: ProtoReader): void {
  while (reader.next()) reader.skip();
}
