import type { Answer, Command, LeaderHint, Query } from './command.ts';
import type { MemberStatus } from './service.ts';

/** Interface sketch; replaced by the codec. */
export type ExecuteRequest = {
  readonly id: number;
  readonly body:
    | { readonly type: 'command'; readonly command: Uint8Array }
    | { readonly type: 'query'; readonly query: Query };
};
export type ExecuteReply =
  | { readonly type: 'hello'; readonly clusterId: bigint; readonly memberId: bigint }
  | { readonly type: 'replies'; readonly replies: readonly { readonly id: number; readonly answer: Uint8Array }[] };

export declare function encodeCommand(command: Command): Uint8Array;
/** @throws DecodeError on bytes that are not a Command (also on missing bodies and ids beyond 2^53 - 1). */
export declare function decodeCommand(bytes: Uint8Array): Command;
export declare function encodeAnswer(answer: Answer): Uint8Array;
export declare function decodeAnswer(bytes: Uint8Array): Answer;
export declare function encodeExecuteRequests(requests: readonly ExecuteRequest[]): Uint8Array;
export declare function decodeExecuteRequests(bytes: Uint8Array): ExecuteRequest[];
export declare function encodeExecuteReplies(replies: readonly { id: number; answer: Uint8Array }[]): Uint8Array;
export declare function encodeHello(hello: { clusterId: bigint; memberId: bigint }): Uint8Array;
export declare function decodeExecuteReply(bytes: Uint8Array): ExecuteReply;
export declare function encodeStatus(status: MemberStatus): Uint8Array;
export declare function decodeStatus(bytes: Uint8Array): MemberStatus;
export type { LeaderHint };
