import { randomFillSync } from 'node:crypto';

/** Where randomness comes from. */
export interface Random {
  /** A uniform integer in 0 … 2^32 − 1. */
  uint32(): number;
  /** `length` unguessable bytes. */
  bytes(length: number): Uint8Array;
}

/** The operating system's generator. */
export const systemRandom: Random = {
  uint32() {
    return new DataView(systemRandom.bytes(4).buffer).getUint32(0, true);
  },
  bytes(length) {
    return randomFillSync(new Uint8Array(length));
  },
};
