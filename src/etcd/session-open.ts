import { API_LIMITS, decodeAnswer, encodeCommand } from '../api/index.ts';
import type { GrpcCall } from '../grpc/index.ts';
import { utf8Bytes } from '../lib/index.ts';
import type { EtcdContext } from './context.ts';
import { etcdError, expectAnswer } from './errors.ts';

/** Metadata of sessions (docs/SESSIONS.md). etcd has none of it, and looks at none of it. */
export const SESSION_METADATA = {
  /** Asks: open the session of this name. */
  open: 'quorate-session-open',
  /** With `open`: 32 hexadecimal digits, the same in all repetitions of one opening. */
  nonce: 'quorate-nonce',
  /** With `open`: idle life, seconds; in the answer the one that was granted. */
  ttl: 'quorate-session-ttl',
  /** `ID/INCARNATION`: given by an opening, copied to every write. */
  session: 'quorate-session',
  /** Number of a write; in its answer: this number is used up. */
  seq: 'quorate-seq',
  /** The client has all answers up to this number. */
  acked: 'quorate-acked',
  /** Of an opening: the last number that is used up. */
  lastSeq: 'quorate-last-seq',
  /** Of an opening: whether the session existed before. */
  resumed: 'quorate-resumed',
} as const;

/** Does what a call asks for beside its request: opens a session, and says so in the headers. */
export async function openSession(
  { member, clock, random, limits }: EtcdContext,
  call: GrpcCall,
  name: string,
): Promise<void> {
  if (name === '') throw invalid(`${SESSION_METADATA.open} names no session`);
  const ttlSeconds = Math.min(
    numberIn(call, SESSION_METADATA.ttl) ?? limits.sessionTtlMs / 1000,
    limits.sessionTtlSecondsMax,
  );
  const nonce = nonceIn(call) ?? random.bytes(API_LIMITS.sessionNonceBytes);
  const ttlMs = ttlSeconds * 1000;
  const command = encodeCommand({ type: 'openSession', name: utf8Bytes(name), nonce, ttlMs });
  const deadlineMs = clock.nowMs() + limits.sessionRetryMs;
  for (;;) {
    const bytes = await new Promise<Uint8Array>((resolve) => {
      member.service.execute(command, resolve);
    });
    const answer = decodeAnswer(bytes);
    // The nonce makes a repetition harmless.
    const isInDoubt = answer.type === 'error' && answer.code === 'LEADERSHIP_LOST';
    if (isInDoubt && clock.nowMs() < deadlineMs) continue;
    const opened = expectAnswer(bytes, 'openSession');
    call.setHeader(SESSION_METADATA.session, `${opened.sessionId}/${opened.incarnation}`);
    call.setHeader(SESSION_METADATA.lastSeq, `${opened.lastSeq}`);
    call.setHeader(SESSION_METADATA.resumed, `${opened.resumed}`);
    call.setHeader(SESSION_METADATA.ttl, `${opened.ttlMs / 1000}`);
    return;
  }
}

/**
 * The number in a header; null when there is none.
 * @throws GrpcError INVALID_ARGUMENT for anything but digits.
 */
export function numberIn(call: Pick<GrpcCall, 'metadata'>, name: string): number | null {
  const text = call.metadata(name);
  return text === null ? null : numberOf(text, name);
}

/** @throws GrpcError INVALID_ARGUMENT for anything but digits. */
export function numberOf(text: string, name: string): number {
  const value = Number(text);
  if (String(value) === text && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(`${name} is no number`);
}

export function invalid(message: string): ReturnType<typeof etcdError> {
  const trailers = { 'quorate-code': 'INVALID_ARGUMENT', 'quorate-outcome': 'notApplied' };
  return etcdError('INVALID_ARGUMENT', message, trailers);
}

function nonceIn(call: GrpcCall): Uint8Array | null {
  const text = call.metadata(SESSION_METADATA.nonce);
  if (text === null) return null;
  const nonce = new Uint8Array(Buffer.from(text, 'hex'));
  if (nonce.length === API_LIMITS.sessionNonceBytes && text.length === 2 * nonce.length) {
    return nonce;
  }
  throw invalid(`${SESSION_METADATA.nonce} is not ${API_LIMITS.sessionNonceBytes} bytes in hex`);
}
