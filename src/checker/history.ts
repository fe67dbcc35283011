/** An operation on one key. `output` is what the caller was told; null when it was told nothing. */
export type KvOperation =
  | { readonly type: 'get'; readonly output: string | null }
  | { readonly type: 'put'; readonly value: string }
  | { readonly type: 'append'; readonly value: string };

/**
 * One call as its caller saw it. Times are on one monotonic clock, any unit.
 * `returned` null: the caller never learnt the outcome, so the call may take effect at any time
 * after `called`, or never. A get whose caller learnt nothing says nothing: leave it out.
 */
export interface Call {
  /** For people: who called. */
  readonly clerk: string;
  readonly key: string;
  readonly operation: KvOperation;
  readonly called: number;
  readonly returned: number | null;
}
