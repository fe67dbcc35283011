import { type GrpcCall, GrpcError } from '../grpc/index.ts';
import { equalBytes } from '../lib/index.ts';
import { type EtcdContext, headerOf, type Methods } from './context.ts';
import { checkKey } from './kv-check.ts';
import { keyValueOf } from './kv-translate.ts';
import { HEADER_ONLY } from './messages/common.ts';
import {
  CAMPAIGN_REQUEST,
  CAMPAIGN_RESPONSE,
  LEADER_REQUEST,
  LEADER_RESPONSE,
  type LeaderKey,
  PROCLAIM_REQUEST,
  RESIGN_REQUEST,
} from './messages/queue.ts';
import { observeMethod } from './observer.ts';
import { type Entry, type Place, Queue } from './queue.ts';
import { queueMethod } from './queue-method.ts';
import type { WatchHub } from './watch-hub.ts';

/** v3electionpb.Election: who stands at the head of the election's queue is the leader. */
export function electionMethods(context: EtcdContext, hub: WatchHub): Methods {
  const queueOf = (name: Uint8Array): Queue => new Queue(context, hub, name);
  return {
    Campaign: queueMethod(context, CAMPAIGN, async ({ name, lease, value }, call) => {
      const queue = queueOf(name);
      const entry = await queue.enter({ lease, value }, call);
      await elected(queue, { entry, value, call });
      const { key, createRevision } = entry.place;
      const leader = { name, key, rev: createRevision, lease: entry.place.lease };
      return { header: headerOf(context, entry.revision), leader };
    }),
    Proclaim: queueMethod(context, PROCLAIM, async ({ leader, value }) => {
      const { queue, place } = shown(leader, queueOf);
      const revision = await queue.change(place, value);
      if (revision === null) throw NOT_LEADER;
      return { header: headerOf(context, revision) };
    }),
    Leader: queueMethod(context, LEADER, async ({ name }) => {
      const { kv, revision } = await queueOf(name).head();
      if (kv === null) throw NO_LEADER;
      return { header: headerOf(context, revision), kv: keyValueOf(kv) };
    }),
    Observe: observeMethod(context, hub),
    Resign: queueMethod(context, RESIGN, async ({ leader }) => {
      const { queue, place } = shown(leader, queueOf);
      return { header: headerOf(context, await queue.leave(place)) };
    }),
  };
}

const CAMPAIGN = { request: CAMPAIGN_REQUEST, response: CAMPAIGN_RESPONSE };
const PROCLAIM = { request: PROCLAIM_REQUEST, response: HEADER_ONLY };
const LEADER = { request: LEADER_REQUEST, response: LEADER_RESPONSE };
const RESIGN = { request: RESIGN_REQUEST, response: HEADER_ONLY };

const NO_LEADER = new GrpcError('UNKNOWN', 'election: no leader');
const NOT_LEADER = new GrpcError('UNKNOWN', 'election: not leader');
const NO_LEADER_KEY = new GrpcError('UNKNOWN', '"leader" field must be provided');

/** Resolves when the place is that of the leader, and says what this campaign wants it to say. */
async function elected(
  queue: Queue,
  campaign: { readonly entry: Entry; readonly value: Uint8Array; readonly call: GrpcCall },
): Promise<void> {
  const { entry, value, call } = campaign;
  const says = equalBytes(entry.value, value) || (await queue.change(entry.place, value)) !== null;
  if (!says) throw NOT_LEADER;
  if (!entry.isHead) await queue.reachHead(entry.place, call, NOT_LEADER);
}

/** The place whose key a leader shows. */
function shown(leader: LeaderKey | null, queueOf: (name: Uint8Array) => Queue) {
  if (leader === null) throw NO_LEADER_KEY;
  checkKey(leader);
  const place: Place = { key: leader.key, lease: leader.lease, createRevision: leader.rev };
  return { queue: queueOf(leader.name), place };
}
