/*
 * The Huffman code of RFC 7541, Appendix B. It is canonical: codes of one length are consecutive
 * numbers in the order of their symbols, and begin where the shorter ones left off. So the lengths
 * say everything, and code and decoder are computed from them.
 */

/** Symbols: 256 bytes, and EOS, which is only used as padding. */
const SYMBOLS = 257;
const EOS = 256;

/** Bits of each symbol's code. */
// biome-ignore format: a table
const CODE_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, // 0x00
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, // 0x10
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,         // 0x20  !"#$%&'()*+,-./
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,              // 0x30 0123456789:;<=>?
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,                // 0x40 @ABCDEFGHIJKLMNO
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,             // 0x50 PQRSTUVWXYZ[\]^_
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,                // 0x60 `abcdefghijklmno
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,            // 0x70 pqrstuvwxyz{|}~
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, // 0x80
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, // 0x90
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, // 0xa0
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, // 0xb0
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, // 0xc0
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, // 0xd0
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, // 0xe0
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, // 0xf0
  30,                                                             // EOS
];
const CODE_BITS_MAX = 30;
/** Longest padding at the end of a string, bits (section 5.2). */
const PADDING_BITS_MAX = 7;

/** Each symbol's code, in its lowest CODE_BITS bits. */
const CODES: Uint32Array = canonicalCodes();

/** Bytes of the code of a latin1 string. */
export function huffmanBytes(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits += CODE_BITS[text.charCodeAt(i)] as number;
  return Math.ceil(bits / 8);
}

/** Writes the code of a latin1 string at `at`, where `huffmanBytes(text)` bytes must be free. */
export function huffmanEncode(text: string, out: Uint8Array, at: number): void {
  let next = at;
  // At most 7 bits wait while at most 30 are added: more than 32, so no bit operations on them.
  let waiting = 0;
  let waitingBits = 0;
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i);
    const bits = CODE_BITS[symbol] as number;
    waiting = waiting * 2 ** bits + (CODES[symbol] as number);
    waitingBits += bits;
    while (waitingBits >= 8) {
      waitingBits -= 8;
      const byte = Math.floor(waiting / 2 ** waitingBits);
      out[next++] = byte;
      waiting -= byte * 2 ** waitingBits;
    }
  }
  if (waitingBits > 0) out[next] = (waiting << (8 - waitingBits)) | (0xff >> waitingBits);
}

/*
 * Decoding goes four bits at a time. A state is an inner node of the code's tree (there are 256);
 * no code is shorter than five bits, so four bits complete at most one symbol.
 *
 *   transition := (symbol + 1 or 0 for none) << 8 | next state        FAILURE: EOS within a string
 */
const STATES = 256;
const FAILURE = -1;
const { transitions: TRANSITIONS, mayEnd: MAY_END } = buildDecoder();

/** Where decoded characters stand until they become a string; grows to the longest one. */
let scratch = new Uint8Array(1024);

/**
 * Decodes the bytes in [from, to) to a latin1 string.
 * @returns null when they are no code: EOS inside, or padding too long or not of ones.
 */
export function huffmanDecode(bytes: Uint8Array, from: number, to: number): string | null {
  const charactersMax = Math.ceil(((to - from) * 8) / 5);
  if (scratch.length < charactersMax) scratch = new Uint8Array(charactersMax * 2);
  let state = 0;
  let length = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number;
    const high = TRANSITIONS[(state << 4) | (byte >> 4)] as number;
    if (high === FAILURE) return null;
    if (high > 0xff) scratch[length++] = (high >> 8) - 1;
    const low = TRANSITIONS[((high & 0xff) << 4) | (byte & 0xf)] as number;
    if (low === FAILURE) return null;
    if (low > 0xff) scratch[length++] = (low >> 8) - 1;
    state = low & 0xff;
  }
  return MAY_END[state] === 1 ? latin1(scratch, 0, length) : null;
}

/** The bytes in [from, to) as a string of one character each. */
export function latin1(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] as number);
  return text;
}

function canonicalCodes(): Uint32Array {
  const codes = new Uint32Array(SYMBOLS);
  let code = 0;
  for (let bits = 1; bits <= CODE_BITS_MAX; bits++) {
    code *= 2;
    for (let symbol = 0; symbol < SYMBOLS; symbol++) {
      if (CODE_BITS[symbol] === bits) codes[symbol] = code++;
    }
  }
  return codes;
}

function buildDecoder(): { transitions: Int32Array; mayEnd: Uint8Array } {
  const tree = buildTree();
  const transitions = new Int32Array(STATES * 16);
  for (let state = 0; state < STATES; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      transitions[(state << 4) | nibble] = walk(tree, state, nibble);
    }
  }
  // A string may end where the bits since its last symbol are the beginning of EOS: all ones.
  const mayEnd = new Uint8Array(STATES);
  let node = 0;
  for (let bits = 0; bits <= PADDING_BITS_MAX; bits++) {
    mayEnd[node] = 1;
    node = tree[node * 2 + 1] as number;
  }
  return { transitions, mayEnd };
}

/** Two children for each inner node: a node's number, or −1 − symbol for a leaf. */
function buildTree(): Int32Array {
  const tree = new Int32Array(STATES * 2);
  let nodes = 1;
  for (let symbol = 0; symbol < SYMBOLS; symbol++) {
    const bits = CODE_BITS[symbol] as number;
    let node = 0;
    for (let i = bits - 1; i > 0; i--) {
      const child = node * 2 + (((CODES[symbol] as number) >>> i) & 1);
      if (tree[child] === 0) tree[child] = nodes++;
      node = tree[child] as number;
    }
    tree[node * 2 + ((CODES[symbol] as number) & 1)] = -1 - symbol;
  }
  return tree;
}

function walk(tree: Int32Array, state: number, nibble: number): number {
  let node = state;
  let emitted = 0;
  for (let i = 3; i >= 0; i--) {
    const child = tree[node * 2 + ((nibble >> i) & 1)] as number;
    if (child >= 0) {
      node = child;
      continue;
    }
    const symbol = -1 - child;
    if (symbol === EOS) return FAILURE;
    emitted = symbol + 1;
    node = 0;
  }
  return (emitted << 8) | node;
}
