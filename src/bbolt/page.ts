import {
  BUCKET_FLAG,
  ELEMENT_BYTES,
  HEADER_BYTES,
  PAGE_BYTES,
  PAGE_FLAGS,
  viewOf,
  writeHeader,
  writeUint64,
} from './format.ts';

/** A row of a leaf, or a page below a branch with the first key in it. */
export type PageRow =
  | { readonly key: Uint8Array; readonly value: Uint8Array; readonly isBucket: boolean }
  | { readonly key: Uint8Array; readonly page: number };

/** Rows that become one page, of leaf or branch, with as much overflow as they need. */
export class PageRows {
  #rows: PageRow[] = [];
  #bytes = HEADER_BYTES;

  get count(): number {
    return this.#rows.length;
  }

  /** Of the page that these rows make. */
  get bytes(): number {
    return this.#bytes;
  }

  get first(): PageRow | null {
    return this.#rows[0] ?? null;
  }

  hasRoomFor(row: PageRow): boolean {
    return this.#bytes + sizeOf(row) <= PAGE_BYTES;
  }

  add(row: PageRow): void {
    this.#rows.push(row);
    this.#bytes += sizeOf(row);
  }

  /** The page, with its number and its overflow. */
  pack(id: number): Uint8Array {
    const pages = Math.ceil(this.#bytes / PAGE_BYTES);
    const bytes = new Uint8Array(pages * PAGE_BYTES);
    const view = viewOf(bytes);
    const isBranch = this.first !== null && 'page' in this.first;
    const flags = isBranch ? PAGE_FLAGS.branch : PAGE_FLAGS.leaf;
    writeHeader(view, { id, flags, count: this.#rows.length, overflow: pages - 1 });
    let at = HEADER_BYTES;
    let data = HEADER_BYTES + this.#rows.length * ELEMENT_BYTES;
    for (const row of this.#rows) {
      if ('page' in row) {
        view.setUint32(at, data - at, true);
        view.setUint32(at + 4, row.key.length, true);
        writeUint64(view, at + 8, row.page);
      } else {
        view.setUint32(at, row.isBucket ? BUCKET_FLAG : 0, true);
        view.setUint32(at + 4, data - at, true);
        view.setUint32(at + 8, row.key.length, true);
        view.setUint32(at + 12, row.value.length, true);
      }
      bytes.set(row.key, data);
      data += row.key.length;
      if ('value' in row) bytes.set(row.value, data);
      if ('value' in row) data += row.value.length;
      at += ELEMENT_BYTES;
    }
    return bytes;
  }
}

function sizeOf(row: PageRow): number {
  return ELEMENT_BYTES + row.key.length + ('value' in row ? row.value.length : 0);
}
