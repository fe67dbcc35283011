import {
  type Answer,
  API_LIMITS,
  type Command,
  decodeAnswer,
  encodeCommand,
} from '../api/index.ts';
import type { GrpcCall } from '../grpc/index.ts';
import { utf8Bytes } from '../lib/index.ts';
import type { EtcdContext } from './context.ts';
import { errorOf, etcdError } from './errors.ts';

/** Metadata of sessions (docs/SESSIONS.md). etcd has none of it, and looks at none of it. */
export const SESSION_METADATA = {
  /** Asks: open the session of this name. */
  open: 'quorate-session-open',
  /** With `open`: 32 hexadecimal digits, the same in all repetitions of one opening. */
  nonce: 'quorate-nonce',
  /** With `open`: idle life, seconds; in the answer the one that was granted. */
  ttl: 'quorate-session-ttl',
  /** Asks: close this session, `ID/INCARNATION`; in the answer: it is over. */
  close: 'quorate-session-close',
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

/** Opens a session that a call asks for beside its request, and says so in the headers. */
export async function openSession(
  context: EtcdContext,
  call: GrpcCall,
  name: string,
): Promise<void> {
  const { random, limits } = context;
  if (name === '') throw invalid(`${SESSION_METADATA.open} names no session`);
  const ttlSeconds = Math.min(
    numberIn(call, SESSION_METADATA.ttl) ?? limits.sessionTtlMs / 1000,
    limits.sessionTtlSecondsMax,
  );
  const nonce = nonceIn(call) ?? random.bytes(API_LIMITS.sessionNonceBytes);
  const ttlMs = ttlSeconds * 1000;
  // The nonce makes a repetition harmless.
  const command = { type: 'openSession', name: utf8Bytes(name), nonce, ttlMs } as const;
  const opened = await decided(context, command);
  if (opened.type === 'error') throw errorOf(opened);
  if (opened.type !== 'openSession') throw new Error(`${opened.type} answers an opening`);
  call.setHeader(SESSION_METADATA.session, `${opened.sessionId}/${opened.incarnation}`);
  call.setHeader(SESSION_METADATA.lastSeq, `${opened.lastSeq}`);
  call.setHeader(SESSION_METADATA.resumed, `${opened.resumed}`);
  call.setHeader(SESSION_METADATA.ttl, `${opened.ttlMs / 1000}`);
}

/** Closes one likewise. One that is over already is closed: by whom cannot be told apart. */
export async function closeSession(
  context: EtcdContext,
  call: GrpcCall,
  token: string,
): Promise<void> {
  const place = sessionOf(token, SESSION_METADATA.close);
  const closed = await decided(context, { type: 'closeSession', ...place });
  if (closed.type === 'error' && closed.code !== 'SESSION_EXPIRED') throw errorOf(closed);
  call.setHeader(SESSION_METADATA.close, token);
}

/** The answer to a command that may be executed again, for as long as it is in doubt. */
async function decided({ member, clock, limits }: EtcdContext, command: Command): Promise<Answer> {
  const bytes = encodeCommand(command);
  const deadlineMs = clock.nowMs() + limits.sessionRetryMs;
  for (;;) {
    const answer = decodeAnswer(
      await new Promise<Uint8Array>((resolve) => member.service.execute(bytes, resolve)),
    );
    const isInDoubt = answer.type === 'error' && answer.code === 'LEADERSHIP_LOST';
    if (!isInDoubt || clock.nowMs() >= deadlineMs) return answer;
  }
}

/**
 * The session and its incarnation that a token names.
 * @throws GrpcError INVALID_ARGUMENT
 */
export function sessionOf(
  token: string,
  name: string,
): { readonly sessionId: number; readonly incarnation: number } {
  const [id = '', incarnation = '', ...rest] = token.split('/');
  if (rest.length > 0) throw invalid(`${name} is not ID/INCARNATION`);
  return { sessionId: numberOf(id, name), incarnation: numberOf(incarnation, name) };
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
function numberOf(text: string, name: string): number {
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
