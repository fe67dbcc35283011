import { type Call, type RecordedCall, recordedCall } from './history.ts';
import { minimise } from './minimise.ts';
import { KvModel } from './model.ts';
import { type KvObject, splitObjects } from './objects.ts';
import { type SearchBounds, search } from './search.ts';

/**
 * What the checker found. `undecided`: a bound was reached; whoever asked must treat it as a
 * failure.
 */
export type Verdict<C = Call> =
  | { readonly type: 'linearizable' }
  | {
      readonly type: 'violation';
      /** The key; several that transactions tie together are separated by commas. */
      readonly key: string;
      /** A longest order of calls that could be explained before none of the rest could come. */
      readonly explained: readonly C[];
      /**
       * Calls that contradict each other whatever the others were told, in order of time. Each is
       * needed: with a read left out, or a write free to happen at any time or never, the
       * contradiction was gone.
       */
      readonly contradiction: readonly C[];
    }
  | { readonly type: 'undecided'; readonly key: string };

/** A good verdict with its proof. */
export type Linearization =
  | {
      readonly type: 'linearizable';
      /** Indexes of calls, object after object, each in an order that explains its replies. */
      readonly order: readonly number[];
      readonly objects: number;
    }
  | Exclude<Verdict<number>, { type: 'linearizable' }>;

const CONFIGURATIONS_MAX = 8_000_000;

/**
 * Decides whether a history of a key/value store is linearizable (Herlihy & Wing), each key alone
 * (P-compositionality, Horn & Kroening). Every key is absent at first.
 * @param stepsMax bound on search steps per key, so that a verdict comes in bounded time
 * @param configurationsMax bound on what one search remembers, about 24 bytes each
 */
export function checkLinearizable(
  history: readonly Call[],
  stepsMax = 5_000_000,
  configurationsMax = CONFIGURATIONS_MAX,
): Verdict {
  const result = linearize(history.map(recordedCall), { stepsMax, configurationsMax });
  if (result.type === 'linearizable') return { type: 'linearizable' };
  if (result.type === 'undecided') return result;
  const calls = (indexes: readonly number[]): Call[] => indexes.map((i) => history[i] as Call);
  const { explained, contradiction } = result;
  return { ...result, explained: calls(explained), contradiction: calls(contradiction) };
}

/** The same for recorded calls; keys that a call touches together are judged as one object. */
export function linearize(
  calls: readonly RecordedCall[],
  bounds: Partial<SearchBounds> = {},
): Linearization {
  const { stepsMax = 5_000_000, configurationsMax = CONFIGURATIONS_MAX } = bounds;
  const objects = splitObjects(calls);
  const order: number[] = [];
  for (const object of objects) {
    const result = linearizeObject(calls, object, { stepsMax, configurationsMax });
    if (result.type !== 'linearizable') return result;
    for (const index of result.order) order.push(index);
  }
  return { type: 'linearizable', order, objects: objects.length };
}

/** Judges one object of a history. */
export function linearizeObject(
  history: readonly RecordedCall[],
  object: KvObject,
  bounds: SearchBounds,
): Linearization {
  const calls = object.calls.map((index) => history[index] as RecordedCall);
  const result = search(new KvModel(object.keys), calls, bounds);
  const outer = (index: number): number => object.calls[index] as number;
  const key = object.keys.join();
  switch (result.type) {
    case 'linearizable':
      return { type: 'linearizable', order: result.order.map(outer), objects: 1 };
    case 'undecided':
      return { type: 'undecided', key };
    case 'violation': {
      const contradiction = minimise(object.keys, calls, result.deadline).map(outer);
      return { type: 'violation', key, explained: result.explained.map(outer), contradiction };
    }
    default:
      return result satisfies never;
  }
}
