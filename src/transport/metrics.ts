/** What the transport has done since it was opened. Counters only grow. */
export interface TransportMetrics {
  /** Frames and bytes handed to connections, keep-alives and handshakes included. */
  readonly framesSent: number;
  readonly bytesSent: number;
  /** Frames that passed their checks, and bytes that arrived. */
  readonly framesReceived: number;
  readonly bytesReceived: number;
  /** Chunks of snapshots handed to connections, and the bytes of the snapshots in them. */
  readonly chunksSent: number;
  readonly chunkBytesSent: number;
  /** Chunks that arrived, and the bytes of the snapshots in them. */
  readonly chunksReceived: number;
  readonly chunkBytesReceived: number;
  /** Messages not sent: the lane's queue was full. */
  readonly droppedQueueFull: number;
  /** Messages not sent: no connection, or it broke while they waited. */
  readonly droppedUnconnected: number;
  /** Messages not sent: to ourselves or to a member that is neither peer nor guest. */
  readonly droppedUnknownReceiver: number;
  /** Messages not sent: larger than a frame may be. */
  readonly droppedOversized: number;
  /** Queued heartbeats that gave way to newer ones. */
  readonly superseded: number;
  /** Messages received and dropped: not from the connection's member, or not to us. */
  readonly droppedMisaddressed: number;
  /** Handshakes completed, on either side. */
  readonly handshakesCompleted: number;
  /** Hellos that we rejected. */
  readonly rejectionsSent: number;
  /** Our hellos that were rejected, and welcomes of the wrong cluster or member. */
  readonly rejectionsReceived: number;
  /** Connections closed because of bytes that break the protocol. */
  readonly badFrames: number;
  /** Connections cut for silence or for a handshake that took too long. */
  readonly timeouts: number;
  /** Accepted connections dropped to make room for newer ones. */
  readonly pendingEvicted: number;
}

/** The same, for those who count. */
export type TransportCounters = { -readonly [Name in keyof TransportMetrics]: number };

export function newCounters(): TransportCounters {
  return {
    framesSent: 0,
    bytesSent: 0,
    framesReceived: 0,
    bytesReceived: 0,
    chunksSent: 0,
    chunkBytesSent: 0,
    chunksReceived: 0,
    chunkBytesReceived: 0,
    droppedQueueFull: 0,
    droppedUnconnected: 0,
    droppedUnknownReceiver: 0,
    droppedOversized: 0,
    superseded: 0,
    droppedMisaddressed: 0,
    handshakesCompleted: 0,
    rejectionsSent: 0,
    rejectionsReceived: 0,
    badFrames: 0,
    timeouts: 0,
    pendingEvicted: 0,
  };
}
