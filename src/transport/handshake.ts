import {
  type ByteReader,
  type ByteWriter,
  DecodeError,
  utf8Bytes,
  utf8String,
} from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import { WIRE_LIMITS } from './limits.ts';
import type { MemberInfo, TransportSelf } from './types.ts';

/*
 * The first frames of a connection; layouts in docs/PEER-PROTOCOL.md. They are the same in every
 * version of the protocol: later versions append fields, which older readers skip.
 */

export const HELLO_KIND = 0x81;
export const WELCOME_KIND = 0x82;
export const REJECT_KIND = 0x83;

/** "QRTP" as four bytes in wire order. */
const MAGIC = 0x50545251;

/** Protocol versions this program speaks. */
export const VERSIONS = { min: 1, max: 1 } as const;

/** What a connection is for. */
export type Lane = keyof typeof LANE_CODE;

const LANE_CODE = { control: 1, append: 2, bulk: 3 } as const;

const REJECT_CODE = {
  version: 1,
  wrongCluster: 2,
  wrongMember: 3,
  removedMember: 4,
  unknownMember: 5,
  wrongCertificate: 6,
} as const;

export type RejectCode = keyof typeof REJECT_CODE;

/** The dialler presents itself and says whom it wants. */
export interface Hello {
  readonly kind: 'hello';
  readonly versionMin: number;
  readonly versionMax: number;
  readonly lane: Lane;
  readonly clusterId: bigint;
  readonly from: MemberId;
  readonly to: MemberId;
  readonly incarnation: bigint;
  readonly info: MemberInfo;
}

/** The listener accepts and presents itself. */
export interface Welcome {
  readonly kind: 'welcome';
  /** The version both will speak. */
  readonly version: number;
  readonly clusterId: bigint;
  readonly from: MemberId;
  readonly to: MemberId;
  readonly incarnation: bigint;
  readonly info: MemberInfo;
}

/** The listener declines. */
export interface Reject {
  readonly kind: 'reject';
  readonly versionMin: number;
  readonly versionMax: number;
  readonly code: RejectCode;
  readonly text: string;
}

export type HandshakeFrame = Hello | Welcome | Reject;

/**
 * How a listener stands to the member that calls it. `unproven`: known, but the caller has not
 * proved that it is at that member's address.
 */
export type Standing = 'known' | 'unproven' | 'guest' | 'removed' | 'crowded';

/** The answer to a hello. Pure: what it depends on is all in the arguments. */
export function answerHello(
  hello: Hello,
  self: TransportSelf,
  standing: Standing,
): Welcome | Reject {
  const version = Math.min(hello.versionMax, VERSIONS.max);
  if (version < hello.versionMin || version < VERSIONS.min) {
    return reject('version', `this member speaks versions ${VERSIONS.min} to ${VERSIONS.max}`);
  }
  if (hello.clusterId !== self.clusterId) {
    return reject('wrongCluster', 'this is a member of another cluster');
  }
  if (hello.to !== self.memberId) return reject('wrongMember', 'another member listens here');
  if (hello.from === self.memberId) return reject('wrongMember', 'you bear my member id');
  if (standing === 'unproven') {
    return reject('wrongCertificate', 'your certificate does not cover your address');
  }
  if (standing === 'removed') return reject('removedMember', 'you were removed from the cluster');
  if (standing === 'crowded') return reject('unknownMember', 'I do not know you');
  const { clusterId, incarnation, info } = self;
  const { memberId: from } = self;
  return { kind: 'welcome', version, clusterId, from, to: hello.from, incarnation, info };
}

/** What a dialler thinks of the welcome it got: null when all is well, otherwise what is wrong. */
export function checkWelcome(
  welcome: Welcome,
  self: TransportSelf,
  wanted: MemberId,
): RejectCode | null {
  if (welcome.version < VERSIONS.min || welcome.version > VERSIONS.max) return 'version';
  if (welcome.clusterId !== self.clusterId) return 'wrongCluster';
  if (welcome.from !== wanted || welcome.to !== self.memberId) return 'wrongMember';
  return null;
}

/** For the log of either side: what a reject means to who runs the cluster. */
export const REJECT_ADVICE: Readonly<Record<RejectCode, string>> = {
  version: 'the members have no protocol version in common: upgrade in single steps',
  wrongCluster: 'the cluster ids differ: a peer address points into another cluster',
  wrongMember: 'a peer address leads to another member: compare addresses and member ids',
  removedMember: 'the caller was removed from the cluster: stop it for good',
  unknownMember: 'the caller is not a member as far as this member knows: compare member ids',
  wrongCertificate:
    'the certificate of the caller must cover the host of its peer address, and does not',
};

function reject(code: RejectCode, text: string): Reject {
  return { kind: 'reject', versionMin: VERSIONS.min, versionMax: VERSIONS.max, code, text };
}

export function helloOf(self: TransportSelf, to: MemberId, lane: Lane): Hello {
  return {
    kind: 'hello',
    versionMin: VERSIONS.min,
    versionMax: VERSIONS.max,
    lane,
    clusterId: self.clusterId,
    from: self.memberId,
    to,
    incarnation: self.incarnation,
    info: self.info,
  };
}

export function encodeHandshake(writer: ByteWriter, frame: HandshakeFrame): void {
  switch (frame.kind) {
    case 'hello':
      begin(writer, HELLO_KIND);
      writer.u8(frame.versionMin);
      writer.u8(frame.versionMax);
      writer.u8(LANE_CODE[frame.lane]);
      return encodeIdentity(writer, frame);
    case 'welcome':
      begin(writer, WELCOME_KIND);
      writer.u8(frame.version);
      return encodeIdentity(writer, frame);
    case 'reject':
      begin(writer, REJECT_KIND);
      writer.u8(frame.versionMin);
      writer.u8(frame.versionMax);
      writer.u8(REJECT_CODE[frame.code]);
      return writer.bytes(utf8Bytes(frame.text));
  }
}

/** @throws DecodeError for bytes that are no handshake frame. */
export function decodeHandshake(reader: ByteReader): HandshakeFrame {
  const kind = reader.u8();
  if (reader.u32() !== MAGIC) throw new DecodeError('no magic', 1);
  switch (kind) {
    case HELLO_KIND: {
      const versions = { versionMin: reader.u8(), versionMax: reader.u8() };
      const lane = choose(reader, LANE_CODE, 'lane');
      return { kind: 'hello', ...versions, lane, ...decodeIdentity(reader) };
    }
    case WELCOME_KIND:
      return { kind: 'welcome', version: reader.u8(), ...decodeIdentity(reader) };
    case REJECT_KIND: {
      const versions = { versionMin: reader.u8(), versionMax: reader.u8() };
      const code = choose(reader, REJECT_CODE, 'reject code');
      return { kind: 'reject', ...versions, code, text: text(reader, 'rejectTextBytesMax') };
    }
    default:
      throw new DecodeError(`unknown handshake kind ${kind}`, 0);
  }
}

function begin(writer: ByteWriter, kind: number): void {
  writer.u8(kind);
  writer.u32(MAGIC);
}

type Identity = Pick<Hello, 'clusterId' | 'from' | 'to' | 'incarnation' | 'info'>;

function encodeIdentity(writer: ByteWriter, identity: Identity): void {
  writer.u64(identity.clusterId);
  writer.u64(identity.from);
  writer.u64(identity.to);
  writer.u64(identity.incarnation);
  writer.bytes(utf8Bytes(identity.info.name));
  writer.varint(identity.info.clientUrls.length);
  for (const url of identity.info.clientUrls) writer.bytes(utf8Bytes(url));
}

function decodeIdentity(reader: ByteReader): Identity {
  const ids = { clusterId: reader.u64(), from: reader.u64(), to: reader.u64() };
  if (ids.from === 0n || ids.to === 0n) throw new DecodeError('member id 0', reader.offset);
  const incarnation = reader.u64();
  const name = text(reader, 'nameBytesMax');
  const count = reader.count(1);
  if (count > WIRE_LIMITS.urlsMax) throw new DecodeError(`${count} URLs`, reader.offset);
  const clientUrls = Array.from({ length: count }, () => text(reader, 'urlBytesMax'));
  return { ...ids, incarnation, info: { name, clientUrls } };
}

/** @throws RangeError when the info exceeds the limits of the wire or holds control characters. */
export function checkInfo(info: MemberInfo): void {
  const check = (value: string, what: string, bytesMax: number): void => {
    const bytes = utf8Bytes(value);
    if (bytes.length > bytesMax) throw new RangeError(`${what} longer than ${bytesMax} bytes`);
    if (utf8String(bytes) !== value || !isPlain(value)) {
      throw new RangeError(`${what} is not plain text: ${JSON.stringify(value)}`);
    }
  };
  check(info.name, 'member name', WIRE_LIMITS.nameBytesMax);
  if (info.clientUrls.length > WIRE_LIMITS.urlsMax) {
    throw new RangeError(`more than ${WIRE_LIMITS.urlsMax} client URLs`);
  }
  for (const url of info.clientUrls) check(url, 'client URL', WIRE_LIMITS.urlBytesMax);
}

function text(
  reader: ByteReader,
  limit: 'nameBytesMax' | 'urlBytesMax' | 'rejectTextBytesMax',
): string {
  const bytes = reader.bytes();
  if (bytes.length > WIRE_LIMITS[limit]) {
    throw new DecodeError(`text beyond ${limit} ${WIRE_LIMITS[limit]}`, reader.offset);
  }
  const value = utf8String(bytes);
  if (value === null || !isPlain(value)) throw new DecodeError('text is not plain', reader.offset);
  return value;
}

/** No control characters: the text goes into logs and terminals. */
function isPlain(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
  }
  return true;
}

function choose<Name extends string>(
  reader: ByteReader,
  codes: Readonly<Record<Name, number>>,
  what: string,
): Name {
  const code = reader.u8();
  for (const name of Object.keys(codes) as Name[]) if (codes[name] === code) return name;
  throw new DecodeError(`unknown ${what} ${code}`, reader.offset - 1);
}
