/** What RFC 7541 (section 4.1) adds to name and value when a field's size is told. */
const FIELD_OVERHEAD_BYTES = 32;

/**
 * One header field. Immutable, so that tables and requests may share it; what is asked about it at
 * every use is found out once.
 */
export class HeaderField {
  /** One character per byte (latin1); lower case unless the peer broke the rules. */
  readonly name: string;
  readonly value: string;
  /** Size in bytes as RFC 7541, section 4.1, counts it. */
  readonly sizeBytes: number;
  /** HTTP/2 allows this name and value (RFC 9113, section 8.2.1). */
  readonly isLegal: boolean;

  constructor(name: string, value: string) {
    this.name = name;
    this.value = value;
    this.sizeBytes = name.length + value.length + FIELD_OVERHEAD_BYTES;
    this.isLegal = isLegalName(name) && isLegalValue(value);
  }
}

/** Fields that are sent together. */
export interface HeaderList {
  readonly fields: readonly HeaderField[];
  /** This very object is sent again and again: its fields are worth a place in the table. */
  readonly isReused: boolean;
}

/** A list that is sent once; its fields are not kept. */
export function headerList(pairs: Readonly<Record<string, string>>): HeaderList {
  return { fields: fieldsOf(pairs), isReused: false };
}

/** A list that is sent with many answers: make it once and keep it. */
export function reusedHeaderList(pairs: Readonly<Record<string, string>>): HeaderList {
  return { fields: fieldsOf(pairs), isReused: true };
}

function fieldsOf(pairs: Readonly<Record<string, string>>): HeaderField[] {
  return Object.entries(pairs).map(([name, value]) => new HeaderField(name, value));
}

/** Token characters without capital letters (RFC 9110, section 5.6.2), by code. */
const IS_NAME_CODE: readonly boolean[] = Array.from({ length: 256 }, (_, code) =>
  "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz".includes(String.fromCharCode(code)),
);

const COLON = 0x3a;

/** A token in lower case; a colon may lead it, and only lead it. */
function isLegalName(name: string): boolean {
  const first = name.charCodeAt(0) === COLON ? 1 : 0;
  if (name.length === first) return false;
  for (let i = first; i < name.length; i++) {
    if (IS_NAME_CODE[name.charCodeAt(i)] !== true) return false;
  }
  return true;
}

/** No NUL, CR or LF, and no blank at either end. */
function isLegalValue(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code === 0x00 || code === 0x0a || code === 0x0d) return false;
  }
  return !isBlank(value.charCodeAt(0)) && !isBlank(value.charCodeAt(value.length - 1));
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
