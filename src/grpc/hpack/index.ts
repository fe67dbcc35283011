/**
 * HPACK, the compression of HTTP/2's header fields (RFC 7541), whole: integers, strings, Huffman
 * code, static and dynamic table, both directions. Pure functions of bytes; knows no frames.
 */
export { HpackDecoder, type HpackDecoderLimits, HpackError } from './decoder.ts';
export { HpackEncoder } from './encoder.ts';
export { HeaderField, type HeaderList, headerList, reusedHeaderList } from './field.ts';
