import { decodeCommand, type TxnOperation } from '../api/index.ts';
import type { Log } from '../io/index.ts';
import { DecodeError } from '../lib/index.ts';

/** The state is called full at this share of the quota … */
const FULL_SHARE = 1;
/** … and has room again below this one: so it does not go to and fro. */
const ROOM_SHARE = 0.95;
const WARN_SHARE = 0.8;

export interface QuotaParts {
  /** Bytes that the state may take; 0: no bound. etcd: --quota-backend-bytes. */
  readonly quotaBytes: number;
  /** Bytes that it takes now, with those that wait for a flush. Asked whenever it has changed. */
  readonly usedBytes: () => number;
  readonly log: Log;
}

/**
 * Keeps a growing state from filling the disk. Once the quota is reached, commands that may add
 * data are refused before they enter the log; reads, deletes and compaction go on, and when they
 * have made room, everything does. etcd's NOSPACE alarm, which needs no hand to be lifted.
 */
export class Quota {
  readonly #parts: QuotaParts;
  #level: 'room' | 'warned' | 'full' = 'room';

  constructor(parts: QuotaParts) {
    this.#parts = parts;
    this.look();
  }

  get isFull(): boolean {
    return this.#level === 'full';
  }

  /** Looks at what is used: to be called when it has changed. */
  look(): void {
    const { quotaBytes, usedBytes, log } = this.#parts;
    if (quotaBytes === 0) return;
    const bytes = usedBytes();
    const share = bytes / quotaBytes;
    const fields = { usedBytes: bytes, quotaBytes };
    if (share >= FULL_SHARE) {
      if (this.#level !== 'full') log.error('the quota is reached: only what frees space', fields);
      this.#level = 'full';
    } else if (share >= WARN_SHARE) {
      if (this.#level === 'full' && share >= ROOM_SHARE) return;
      if (this.#level !== 'warned') log.warn('the state is near its quota: compact it', fields);
      this.#level = 'warned';
    } else {
      if (this.#level === 'full') log.info('there is space again', fields);
      this.#level = 'room';
    }
  }

  /** True when the encoded command has to be refused now. */
  refuses(command: Uint8Array): boolean {
    return this.isFull && mayAddData(command);
  }
}

/** Bytes that are no command are answered by the state machine, and add nothing. */
function mayAddData(bytes: Uint8Array): boolean {
  try {
    const command = decodeCommand(bytes);
    if (command.type !== 'operation') return command.type === 'openSession';
    const { operation } = command;
    if (operation.type === 'txn') return txnMayAdd(operation);
    return ADDS[operation.type] ?? false;
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

const ADDS: Readonly<Record<string, boolean>> = { put: true, append: true, leaseGrant: true };

function txnMayAdd({ success, failure }: TxnOperation & { type: 'txn' }): boolean {
  return [...success, ...failure].some((operation) =>
    operation.type === 'txn' ? txnMayAdd(operation) : ADDS[operation.type] === true,
  );
}
