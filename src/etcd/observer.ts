import { type KeyValue, singleKey } from '../api/index.ts';
import {
  GrpcError,
  type GrpcServerStreamHandlers,
  type GrpcServerStreamMethod,
  type GrpcStream,
} from '../grpc/index.ts';
import type { Timer } from '../io/index.ts';
import {
  decoded,
  demandLeader,
  type EtcdContext,
  headerOf,
  NO_LEADER,
  wantsLeader,
} from './context.ts';
import { etcdError } from './errors.ts';
import { Following, type FollowingOptions } from './following.ts';
import { keyValueOf } from './kv-translate.ts';
import { watchLeader } from './leader-watch.ts';
import { LEADER_REQUEST, LEADER_RESPONSE } from './messages/queue.ts';
import { Queue } from './queue.ts';
import type { WatchHub } from './watch-hub.ts';

/** v3electionpb.Election/Observe */
export function observeMethod(context: EtcdContext, hub: WatchHub): GrpcServerStreamMethod {
  return {
    type: 'serverStream',
    open(request, call, stream) {
      demandLeader(context, call);
      const { name } = decoded(LEADER_REQUEST, request);
      const queue = new Queue(context, hub, name);
      return new Observer(context, { hub, stream, queue, wantsLeader: wantsLeader(call) });
    },
  };
}

/**
 * Tells a client who leads, and what the leader says, each time one of them changes. Who leads for
 * less time than it takes to look is not seen.
 *
 *   look ──leader──▶ told ──▶ its key is followed ──put──▶ told …   ──deleted──▶ look
 *     └──nobody────▶ the queue is followed ──put──▶ told ──▶ its key is followed …
 */
class Observer implements GrpcServerStreamHandlers {
  readonly #context: EtcdContext;
  readonly #hub: WatchHub;
  readonly #stream: GrpcStream;
  readonly #queue: Queue;
  readonly #leaderTimer: Timer | null;
  #following: Following | null = null;
  #isClosed = false;

  constructor(
    context: EtcdContext,
    parts: { hub: WatchHub; stream: GrpcStream; queue: Queue; wantsLeader: boolean },
  ) {
    const { hub, stream, queue } = parts;
    this.#context = context;
    this.#hub = hub;
    this.#stream = stream;
    this.#queue = queue;
    const lost = (): void => stream.end(NO_LEADER);
    this.#leaderTimer = parts.wantsLeader ? watchLeader(context, lost) : null;
    this.#look();
  }

  onDrain(): void {
    this.#following?.resume();
  }

  onStopping(): void {
    this.#stream.end(etcdError('UNAVAILABLE', 'server stopped'));
  }

  onClosed(): void {
    this.#isClosed = true;
    this.#leaderTimer?.cancel();
    this.#following?.stop();
  }

  #look(): void {
    this.#queue.head().then(
      ({ kv, revision }) => {
        if (kv === null) return this.#followQueue(revision + 1);
        this.#tell(kv, revision);
        this.#followLeader(kv.key, revision + 1);
      },
      (cause: unknown) => {
        const isKnown = cause instanceof GrpcError;
        this.#stream.end(
          isKnown ? cause : new GrpcError('INTERNAL', 'observing failed', { cause }),
        );
      },
    );
  }

  /** Who takes a place in the empty queue leads. */
  #followQueue(from: number): void {
    this.#follow({
      range: this.#queue.range,
      from,
      onChange: ({ type, kv }) => {
        if (type === 'delete') return false;
        this.#tell(kv, kv.modRevision);
        this.#followLeader(kv.key.slice(), kv.modRevision + 1);
        return true;
      },
    });
  }

  #followLeader(key: Uint8Array, from: number): void {
    this.#follow({
      range: singleKey(key),
      from,
      onChange: ({ type, kv }) => {
        if (type === 'put') this.#tell(kv, kv.modRevision);
        else this.#look();
        return type === 'delete';
      },
    });
  }

  #follow(options: Pick<FollowingOptions, 'range' | 'from' | 'onChange'>): void {
    if (this.#isClosed) return;
    const { watchUnreadBytesMax } = this.#context.limits;
    this.#following = new Following(this.#hub, {
      ...options,
      onCompacted: () => this.#look(),
      isBlocked: () => this.#stream.bufferedBytes >= watchUnreadBytesMax,
    });
  }

  #tell(kv: KeyValue, revision: number): void {
    const header = headerOf(this.#context, revision);
    this.#stream.send(LEADER_RESPONSE.encode({ header, kv: keyValueOf(kv) }));
  }
}
