/* The numbers of RFC 9113. */

/** What a client sends first (section 3.4), followed by its SETTINGS. */
export const PREFACE: Uint8Array = Uint8Array.from(
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  (character) => character.charCodeAt(0),
);

/** Section 6. */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** ACK and END_STREAM are the same bit of different frames. */
export const FLAG = {
  ACK: 0x1,
  END_STREAM: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const;

/** Section 6.5.2. */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** Section 7. */
export const ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;

export type ErrorName = keyof typeof ERROR;

/** Bytes of a frame's head: length:u24 type:u8 flags:u8 stream:u32 (section 4.1). */
export const FRAME_HEAD_BYTES = 9;
/** Payload bytes of one frame, in both directions: the default, and we ask for no more. */
export const FRAME_BYTES_MAX = 16_384;
/** Every flow-control window at the start (section 6.9.2). */
export const INITIAL_WINDOW_BYTES = 65_535;
/** No window is larger (section 6.9.1). */
export const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** Highest stream id. */
export const STREAM_ID_MAX = 2 ** 31 - 1;
/** HPACK's table until SETTINGS say otherwise; ours never do. */
export const HEADER_TABLE_BYTES = 4096;

/**
 * The other side broke a rule. With a stream it costs that stream (RST_STREAM), without one the
 * connection (GOAWAY): RFC 9113, section 5.4.
 */
export class Http2Error extends Error {
  readonly code: ErrorName;
  /** The stream it costs; null: the connection. */
  readonly streamId: number | null;

  constructor(code: ErrorName, message: string, streamId: number | null = null) {
    super(message);
    this.name = 'Http2Error';
    this.code = code;
    this.streamId = streamId;
  }
}
