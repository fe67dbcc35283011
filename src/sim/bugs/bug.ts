import type { PlanChanges } from '../plan.ts';
import type { Planted } from '../planted.ts';
import type { Patch } from './patch.ts';

/** A mistake that some real system has made. */
export interface Bug {
  /** The mistake as a sentence, without a full stop. */
  readonly name: string;
  /** Planted from outside, */
  readonly planted?: Planted;
  /** or within: a few words of the compiled code are others. */
  readonly patches?: readonly Patch[];
  /** What its runs must have for the mistake to matter; default: three members. */
  readonly run?: PlanChanges;
}

/** Puts another method in the place of a class's, until the function returned is called. */
export function replacing<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  make: (original: T[K]) => T[K],
): () => void {
  const original = prototype[name];
  prototype[name] = make(original);
  return () => {
    prototype[name] = original;
  };
}

/** Several replacements as one. */
export function together(...restores: (() => void)[]): () => void {
  return () => {
    for (const restore of restores.reverse()) restore();
  };
}

/** True at every `n`th call. */
export function everyNth(n: number): () => boolean {
  let calls = 0;
  return () => ++calls % n === 0;
}
