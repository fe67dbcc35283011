import { API_LIMITS } from '../api/index.ts';

export const GATEWAY_LIMITS = {
  /** Bytes of one JSON value in a request: base64 takes four for three. */
  messageBytesMax: Math.ceil(((API_LIMITS.requestBytesMax + 512 * 1024) * 4) / 3),
  /** Bytes of answers that a client has not read; beyond, its stream is cut. */
  unreadBytesMax: 16 * 1024 * 1024,
} as const;

export type GatewayLimits = { readonly [Name in keyof typeof GATEWAY_LIMITS]: number };
