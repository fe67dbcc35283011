/** A member's state as a file of etcd's (snapshot-buckets.ts says what is in it). */
export interface DatabaseFile {
  readonly bytes: number;
  /** Exactly these bytes; they belong to the caller. */
  read(range: { readonly offset: number; readonly length: number }): Promise<Uint8Array>;
  /** Safe to call twice. */
  close(): Promise<void>;
}

/**
 * Makes the file, from one state of the member: with all that was acknowledged before the call, or,
 * when no leader confirms that, with what it has. Rejects with the signal's reason, or an Error
 * whose message is for the operator.
 */
export type OpenDatabase = (options: { readonly signal: AbortSignal }) => Promise<DatabaseFile>;
