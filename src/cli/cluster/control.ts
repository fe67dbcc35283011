import type { MemberStatus } from '../../api/index.ts';

/**
 * What passes over the IPC channel between a member process and whoever started it. The channel
 * does not depend on the network under test; when it closes, the member stops: no orphans.
 */
export type MemberMessage =
  | {
      readonly type: 'listening';
      readonly memberId: bigint;
      readonly clientUrls: readonly string[];
      readonly peerUrls: readonly string[];
    }
  /** A leader is known for the first time. */
  | { readonly type: 'ready' }
  | { readonly type: 'status'; readonly requestId: number; readonly status: MemberStatus };

/** What the starter asks. */
export interface StatusQuestion {
  readonly type: 'status';
  readonly requestId: number;
}

export function isMemberMessage(message: unknown): message is MemberMessage {
  const type = typeOf(message);
  return type === 'listening' || type === 'ready' || type === 'status';
}

export function isStatusQuestion(message: unknown): message is StatusQuestion {
  return typeOf(message) === 'status';
}

function typeOf(message: unknown): unknown {
  return typeof message === 'object' && message !== null && 'type' in message ? message.type : null;
}
