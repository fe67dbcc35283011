/**
 * A cluster of real member processes on this machine that can be killed, frozen, cut off and
 * restarted at will: `quorate local`, the demo, whole-system tests and benchmarks stand on it.
 */
export {
  isStatusQuestion,
  type MemberMessage,
  type StatusQuestion,
} from './control.ts';
export { findFreePorts, isPortFree } from './free-ports.ts';
export { type LinkCounts, type LinkMode, LinkProxy } from './link-proxy.ts';
export { Links, type MemberPorts } from './links.ts';
export { type MemberExit, MemberProcess, type MemberSpec } from './member-process.ts';
export { ProcessCluster, type ProcessClusterOptions } from './process-cluster.ts';
