import { singleKey } from '../api/index.ts';
import { GrpcError } from '../grpc/index.ts';
import { EMPTY_BYTES } from '../lib/index.ts';
import { type EtcdContext, execute, headerOf, type Methods } from './context.ts';
import { checkKey } from './kv-check.ts';
import { HEADER_ONLY } from './messages/common.ts';
import { LOCK_REQUEST, LOCK_RESPONSE, UNLOCK_REQUEST } from './messages/queue.ts';
import { Queue } from './queue.ts';
import { queueMethod } from './queue-method.ts';
import type { WatchHub } from './watch-hub.ts';

/**
 * v3lockpb.Lock. Who holds a lock may lose it with the lease, and not know yet: what it guards must
 * compare the create revision of the lock's key, in the same transaction or as a fencing token.
 */
export function lockMethods(context: EtcdContext, hub: WatchHub): Methods {
  return {
    Lock: queueMethod(context, LOCK, async ({ name, lease }, call) => {
      const queue = new Queue(context, hub, name);
      const { place, isHead, revision } = await queue.enter({ lease, value: EMPTY_BYTES }, call);
      const heldAt = isHead ? revision : await queue.reachHead(place, call, EXPIRED);
      return { header: headerOf(context, heldAt), key: place.key };
    }),
    Unlock: queueMethod(context, UNLOCK, async ({ key }) => {
      checkKey({ key });
      const range = singleKey(key);
      const { revision } = await execute(context, { type: 'delete', range, prevKv: false });
      return { header: headerOf(context, revision) };
    }),
  };
}

const LOCK = { request: LOCK_REQUEST, response: LOCK_RESPONSE };
const UNLOCK = { request: UNLOCK_REQUEST, response: HEADER_ONLY };

const EXPIRED = new GrpcError('UNKNOWN', 'mutex: session is expired');
