import { describe, expect, test } from 'vitest';
import { API_LIMITS } from '../src/api/index.ts';
import { CLERK_LIMITS } from '../src/client/limits.ts';
import { GRPC_LIMITS } from '../src/grpc/index.ts';
import { KV_LIMITS } from '../src/kv/index.ts';
import { RAFT_LIMITS } from '../src/raft/index.ts';
import { REPLICA_LIMITS } from '../src/replica/index.ts';
import { EXECUTE_LIMITS } from '../src/server/limits.ts';
import { TRANSPORT_LIMITS } from '../src/transport/index.ts';
import { payloadBytesMax, WAL_LIMITS } from '../src/wal/index.ts';

/** Room for the framing of one entry in a batch, a message, or a record. */
const FRAMING_BYTES = 4096;

describe('limits of different folders fit together', () => {
  const largestEntryBytes =
    Math.max(REPLICA_LIMITS.entryBytesMax, EXECUTE_LIMITS.commandBytesMax) + FRAMING_BYTES;

  test('the largest log entry fits into a segment of the log', () => {
    expect(largestEntryBytes).toBeLessThan(payloadBytesMax(WAL_LIMITS.segmentBytes));
  });

  test('the largest AppendEntries fits into a frame and into the queue to a peer', () => {
    const largest = Math.max(RAFT_LIMITS.appendBytesMax, largestEntryBytes) + FRAMING_BYTES;
    expect(largest).toBeLessThan(TRANSPORT_LIMITS.appendFrameBytesMax);
    expect(RAFT_LIMITS.inflightBytesMax + largest).toBeLessThan(
      TRANSPORT_LIMITS.appendQueueBytesMax,
    );
    expect(RAFT_LIMITS.inflightAppendsMax).toBeLessThan(TRANSPORT_LIMITS.appendQueueMessagesMax);
  });

  test('a session keeps all answers that a clerk may leave unacknowledged', () => {
    expect(CLERK_LIMITS.windowRequestsMax + CLERK_LIMITS.explicitSeqKept).toBeLessThan(
      KV_LIMITS.sessionAnswersMax,
    );
  });

  test('a stream takes what one clerk has in flight', () => {
    const { windowRequestsMax, readsInFlightMax, pollsInFlightMax } = CLERK_LIMITS;
    const inFlight = windowRequestsMax + readsInFlightMax + pollsInFlightMax;
    expect(inFlight).toBeLessThan(EXECUTE_LIMITS.inFlightRequestsMax);
    expect(CLERK_LIMITS.windowBytesMax).toBeLessThan(EXECUTE_LIMITS.inFlightBytesMax);
  });

  test('the largest answer fits into a message of the stream', () => {
    expect(KV_LIMITS.answerBytesMax + FRAMING_BYTES).toBeLessThan(API_LIMITS.streamMessageBytesMax);
    expect(API_LIMITS.streamMessageBytesMax).toBeLessThanOrEqual(GRPC_LIMITS.messageBytesMax);
  });

  test('a page of the history fits into a message, with its numbers and tags', () => {
    expect(2 * API_LIMITS.changesAnswerBytesMax).toBeLessThan(API_LIMITS.streamMessageBytesMax);
  });

  test('a member lets a watch wait for as long as a clerk asks', () => {
    expect(CLERK_LIMITS.watchWaitMs).toBeLessThanOrEqual(API_LIMITS.changesWaitMsMax);
  });

  test('a clerk’s pings are no flood', () => {
    const pings = GRPC_LIMITS.floodWindowMs / CLERK_LIMITS.pingIntervalMs;
    expect(pings).toBeLessThan(GRPC_LIMITS.pingsMax / 10);
  });
});
