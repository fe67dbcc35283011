/** A clock, a network, members and messages for tests: no sockets, no real time. */
export { anyBulkMessage, anyMessage, anyPeerMessage } from './arbitraries.ts';
export { FakeClock } from './fake-clock.ts';
export { type MemoryConnection, MemoryNetwork } from './memory-network.ts';
export { rawFrame } from './raw-frame.ts';
export {
  append,
  Caller,
  CLUSTER,
  chunk,
  heartbeat,
  host,
  kept,
  type LogLine,
  type Member,
  question,
  RecordingLog,
  seededRandom,
  World,
} from './world.ts';
