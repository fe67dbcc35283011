import { ask, type EtcdContext, execute, headerOf, type Methods, unary } from './context.ts';
import { errorOf } from './errors.ts';
import { checkKey, checkPut, checkTxn } from './kv-check.ts';
import {
  deleteOf,
  deleteResponse,
  putOf,
  putResponse,
  rangeOf,
  rangeResponse,
  txnOf,
  txnResponse,
} from './kv-translate.ts';
import { HEADER_ONLY } from './messages/common.ts';
import {
  COMPACTION_REQUEST,
  DELETE_RANGE_REQUEST,
  DELETE_RANGE_RESPONSE,
  PUT_REQUEST,
  PUT_RESPONSE,
  RANGE_REQUEST,
  RANGE_RESPONSE,
  TXN_REQUEST,
  TXN_RESPONSE,
} from './messages/kv.ts';

/** etcdserverpb.KV */
export function kvMethods(context: EtcdContext): Methods {
  return {
    Range: unary(context, RANGE, async (request) => {
      checkKey(request);
      const { serializable } = request;
      const result = await ask(context, rangeOf(request), { serializable });
      return rangeResponse(result, headerOf(context, result.revision));
    }),
    Put: unary(context, PUT, async (request) => {
      checkPut(request);
      const result = await execute(context, putOf(request));
      return putResponse(result, headerOf(context, result.revision));
    }),
    DeleteRange: unary(context, DELETE_RANGE, async (request) => {
      checkKey(request);
      const result = await execute(context, deleteOf(request));
      return deleteResponse(result, headerOf(context, result.revision));
    }),
    Txn: unary(context, TXN, async (request) => {
      checkTxn(request, context.limits.txnOperationsMax);
      const result = await execute(context, txnOf(request));
      return txnResponse(result, headerOf(context, result.revision));
    }),
    Compact: unary(context, COMPACT, async ({ revision, physical }) => {
      if (revision < 0) throw errorOf({ code: 'COMPACTED', message: '' });
      const result = await execute(context, { type: 'compact', revision });
      if (physical) await removed(context, revision);
      return { header: headerOf(context, result.revision) };
    }),
  };
}

const RANGE = { request: RANGE_REQUEST, response: RANGE_RESPONSE };
const PUT = { request: PUT_REQUEST, response: PUT_RESPONSE };
const DELETE_RANGE = { request: DELETE_RANGE_REQUEST, response: DELETE_RANGE_RESPONSE };
const TXN = { request: TXN_REQUEST, response: TXN_RESPONSE };
const COMPACT = { request: COMPACTION_REQUEST, response: HEADER_ONLY };

/** Resolves when this member has removed what only revisions below `revision` could see. */
function removed({ member }: EtcdContext, revision: number): Promise<void> {
  const { feed } = member;
  return new Promise((resolve) => {
    const look = (): void => {
      if (feed.compactRevision < revision || feed.compacting) return;
      stop();
      resolve();
    };
    const stop = feed.onApplied(look);
    look();
  });
}
