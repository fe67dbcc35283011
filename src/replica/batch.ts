import { ByteReader, ByteWriter, DecodeError } from '../lib/index.ts';

/*
 * What a command entry's data holds: all commands that one turn of the event loop gathered.
 *
 *   batch := version:u8 (1)  timeMs:varint  count:varint  command:bytes*
 */
const VERSION = 1;

/** Commands of one entry with the log time that the leader stamped on them. */
export interface Batch {
  /** Log time, whole milliseconds. */
  readonly timeMs: number;
  readonly commands: readonly Uint8Array[];
}

/** Upper bound of a batch's encoded size. `commandBytes`: of all commands together. */
export function batchBytes(commandBytes: number, count: number): number {
  return 32 + commandBytes + 8 * count;
}

export function encodeBatch(batch: Batch): Uint8Array {
  const commandBytes = batch.commands.reduce((sum, command) => sum + command.length, 0);
  const writer = new ByteWriter(batchBytes(commandBytes, batch.commands.length));
  writer.u8(VERSION);
  writer.varint(batch.timeMs);
  writer.varint(batch.commands.length);
  for (const command of batch.commands) writer.bytes(command);
  return writer.view();
}

/**
 * Commands are views of `data`.
 * @throws DecodeError when the bytes are no batch of a version known here.
 */
export function decodeBatch(data: Uint8Array): Batch {
  const reader = new ByteReader(data);
  const version = reader.u8();
  if (version !== VERSION) throw new DecodeError(`batch version ${version} is not known here`, 0);
  const timeMs = reader.varint();
  const commands = Array.from({ length: reader.count(1) }, () => reader.bytes());
  reader.end();
  return { timeMs, commands };
}
