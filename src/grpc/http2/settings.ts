import { type Frame, readU32 } from './frame-reader.ts';
import {
  FRAME_BYTES_MAX,
  HEADER_TABLE_BYTES,
  Http2Error,
  INITIAL_WINDOW_BYTES,
  SETTING,
  WINDOW_BYTES_MAX,
} from './protocol.ts';

/** What the other side lets us do (RFC 9113, section 6.5.2), as far as it concerns a server. */
export interface PeerSettings {
  /** Bytes of the HPACK table that our encoder may fill. */
  headerTableBytes: number;
  /** Window of each new stream, for what we send. */
  initialWindowBytes: number;
}

export function defaultSettings(): PeerSettings {
  return { headerTableBytes: HEADER_TABLE_BYTES, initialWindowBytes: INITIAL_WINDOW_BYTES };
}

const ENTRY_BYTES = 6;

/** Entries of a SETTINGS frame. */
export function settingsEntries(frame: Frame): number {
  return (frame.to - frame.from) / ENTRY_BYTES;
}

/**
 * Takes over the entries of a SETTINGS frame, in order; unknown ones are skipped.
 * @throws Http2Error of the connection on a value out of range.
 */
export function applySettings(frame: Frame, settings: PeerSettings): void {
  const { bytes, from, to } = frame;
  if ((to - from) % ENTRY_BYTES !== 0) throw new Http2Error('FRAME_SIZE_ERROR', 'odd SETTINGS');
  for (let at = from; at < to; at += ENTRY_BYTES) {
    const id = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
    applySetting(id, readU32(bytes, at + 2), settings);
  }
}

function applySetting(id: number, value: number, settings: PeerSettings): void {
  switch (id) {
    case SETTING.HEADER_TABLE_SIZE:
      settings.headerTableBytes = value;
      return;
    case SETTING.ENABLE_PUSH:
      if (value > 1) throw new Http2Error('PROTOCOL_ERROR', 'ENABLE_PUSH is neither 0 nor 1');
      return;
    case SETTING.INITIAL_WINDOW_SIZE:
      if (value > WINDOW_BYTES_MAX) {
        throw new Http2Error('FLOW_CONTROL_ERROR', 'INITIAL_WINDOW_SIZE beyond 2^31-1');
      }
      settings.initialWindowBytes = value;
      return;
    case SETTING.MAX_FRAME_SIZE:
      // Larger frames would be allowed; ours stay at what everybody takes.
      if (value < FRAME_BYTES_MAX || value > 0xffffff) {
        throw new Http2Error('PROTOCOL_ERROR', 'MAX_FRAME_SIZE out of range');
      }
      return;
    default:
      return;
  }
}

/** The payload of a SETTINGS frame. */
export function encodeSettings(entries: readonly (readonly [number, number])[]): Uint8Array {
  const bytes = new Uint8Array(entries.length * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  entries.forEach(([id, value], i) => {
    view.setUint16(i * ENTRY_BYTES, id);
    view.setUint32(i * ENTRY_BYTES + 2, value);
  });
  return bytes;
}
