import { assert } from '../lib/index.ts';

/** Bounds of the transport. Bytes, milliseconds or counts, as the name's end says. */
export interface TransportLimits {
  /** Payload of one frame on the control lane. */
  readonly controlFrameBytesMax: number;
  /** Payload of one frame on the append lane; the largest log entry must fit. */
  readonly appendFrameBytesMax: number;
  /** Payload of one frame on the bulk lane; a chunk of a snapshot must fit with its position. */
  readonly bulkFrameBytesMax: number;
  /** Messages that wait for one peer's control lane. */
  readonly controlQueueMessagesMax: number;
  /** Their encoded size; one message always fits. */
  readonly controlQueueBytesMax: number;
  /** Messages that wait for one peer's append lane. */
  readonly appendQueueMessagesMax: number;
  /** Their encoded size; one message always fits. Above raft's inflight window: it rarely acts. */
  readonly appendQueueBytesMax: number;
  /** Chunks that wait for one peer's bulk lane. */
  readonly bulkQueueMessagesMax: number;
  /** Their encoded size; one chunk always fits. */
  readonly bulkQueueBytesMax: number;
  /** An outgoing bulk connection that sent nothing for this long is closed. */
  readonly bulkIdleMs: number;
  /** Frames gathered into one socket write; one frame always fits. */
  readonly writeBytesMax: number;
  /** From connection to completed handshake, on either side. */
  readonly handshakeTimeoutMs: number;
  /** A side that wrote nothing for this long sends a keep-alive; also the transport's tick. */
  readonly keepAliveMs: number;
  /** A connection on which nothing was heard for this long is cut; about one election timeout. */
  readonly linkTimeoutMs: number;
  /** Wait before the first new attempt after a loss. */
  readonly backoffMinMs: number;
  /** Longest wait between two attempts. */
  readonly backoffMaxMs: number;
  /** `onUnreachable` is called at most this often for one peer. */
  readonly unreachableIntervalMs: number;
  /** Accepted connections whose handshake is not complete; the oldest makes room. */
  readonly pendingConnectionsMax: number;
  /** Members outside the configured peers that may be connected to us. */
  readonly guestsMax: number;
}

/** Defaults. */
export const TRANSPORT_LIMITS: TransportLimits = {
  controlFrameBytesMax: 64 * 1024,
  appendFrameBytesMax: 16 * 1024 * 1024,
  bulkFrameBytesMax: 1088 * 1024,
  controlQueueMessagesMax: 4096,
  controlQueueBytesMax: 1024 * 1024,
  appendQueueMessagesMax: 1024,
  appendQueueBytesMax: 64 * 1024 * 1024,
  bulkQueueMessagesMax: 32,
  bulkQueueBytesMax: 8 * 1088 * 1024,
  bulkIdleMs: 10_000,
  writeBytesMax: 256 * 1024,
  handshakeTimeoutMs: 5000,
  keepAliveMs: 250,
  linkTimeoutMs: 1000,
  backoffMinMs: 50,
  backoffMaxMs: 1000,
  unreachableIntervalMs: 1000,
  pendingConnectionsMax: 64,
  guestsMax: 16,
};

/** Bounds that are part of the wire format: changing one is a change of the protocol. */
export const WIRE_LIMITS = {
  /** Payload of a handshake frame. */
  handshakeBytesMax: 16 * 1024,
  nameBytesMax: 256,
  urlsMax: 16,
  urlBytesMax: 512,
  rejectTextBytesMax: 256,
  /** Entries in one AppendEntries. */
  entriesMax: 65_536,
  /** Commands in one Forward, answers in one ForwardReply. */
  forwardsMax: 65_536,
  /** Data in one chunk of a snapshot. */
  chunkBytesMax: 1024 * 1024,
  /** A frame's length field is 32 bits, and a payload is held in memory: no lane may allow more. */
  frameBytesMax: 256 * 1024 * 1024,
} as const;

/** Removed members that are remembered, to tell them so; the longest removed is forgotten first. */
export const REMOVED_MEMBERS_MAX = 1024;

/**
 * The defaults with `changes` put over them.
 * @throws InvariantViolation for a value that is no positive integer, or two that do not agree.
 */
export function withLimits(changes: Partial<TransportLimits>): TransportLimits {
  const limits = { ...TRANSPORT_LIMITS, ...changes };
  for (const [name, value] of Object.entries(limits)) {
    assert(Number.isSafeInteger(value) && value > 0, 'limit is no positive integer', {
      name,
      value,
    });
  }
  const { keepAliveMs, linkTimeoutMs, backoffMinMs, backoffMaxMs } = limits;
  assert(keepAliveMs * 2 <= linkTimeoutMs, 'keepAliveMs above half of linkTimeoutMs', {
    keepAliveMs,
    linkTimeoutMs,
  });
  assert(backoffMinMs <= backoffMaxMs, 'backoffMinMs above backoffMaxMs', {
    backoffMinMs,
    backoffMaxMs,
  });
  const { frameBytesMax } = WIRE_LIMITS;
  const { controlFrameBytesMax, appendFrameBytesMax, bulkFrameBytesMax } = limits;
  for (const bytes of [controlFrameBytesMax, appendFrameBytesMax, bulkFrameBytesMax]) {
    assert(bytes <= frameBytesMax, 'frame limit too large', { bytes, frameBytesMax });
  }
  return limits;
}
