import { isReadTxn, type TxnResult } from '../api/index.ts';
import type { GrpcCall } from '../grpc/index.ts';
import { watchCall } from './call-watch.ts';
import { ask, type EtcdContext, headerOf, type Methods, unary } from './context.ts';
import { errorOf } from './errors.ts';
import { checkKey, checkPut, checkTxn } from './kv-check.ts';
import {
  deleteOf,
  deleteResponse,
  isSerializable,
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
import type { Writes } from './session-writes.ts';

/** etcdserverpb.KV */
export function kvMethods(context: EtcdContext, writes: Writes): Methods {
  return {
    Range: unary(context, RANGE, async (request) => {
      checkKey(request);
      const { serializable } = request;
      const result = await ask(context, rangeOf(request), { serializable });
      return rangeResponse(result, headerOf(context, result.revision));
    }),
    Put: writes.method(PUT, {
      operationOf(request) {
        checkPut(request);
        return putOf(request);
      },
      responseOf: (result, write) => putResponse(result, write.headerOf(result.revision)),
    }),
    DeleteRange: writes.method(DELETE_RANGE, {
      operationOf(request) {
        checkKey(request);
        return deleteOf(request);
      },
      responseOf: (result, write) => deleteResponse(result, write.headerOf(result.revision)),
    }),
    Txn: unary(context, TXN, (request, call) =>
      writes.run(call, async (write) => {
        checkTxn(request, context.limits.txnOperationsMax);
        const txn = txnOf(request);
        const responseOf = (result: TxnResult) =>
          txnResponse(result, write.headerOf(result.revision));
        if (write.isNumbered || !isReadTxn(txn)) return responseOf(await write.execute(txn));
        return responseOf(await ask(context, txn, { serializable: isSerializable(request) }));
      }),
    ),
    Compact: unary(context, COMPACT, ({ revision, physical }, call) =>
      writes.run(call, async (write) => {
        if (revision < 0) throw errorOf({ code: 'COMPACTED', message: '' });
        const compacted = await write.execute({ type: 'compact', revision });
        if (physical) await removed(context, revision, call);
        return { header: write.headerOf(compacted.revision) };
      }),
    ),
  };
}

const RANGE = { request: RANGE_REQUEST, response: RANGE_RESPONSE };
const PUT = { request: PUT_REQUEST, response: PUT_RESPONSE };
const DELETE_RANGE = { request: DELETE_RANGE_REQUEST, response: DELETE_RANGE_RESPONSE };
const TXN = { request: TXN_REQUEST, response: TXN_RESPONSE };
const COMPACT = { request: COMPACTION_REQUEST, response: HEADER_ONLY };

/**
 * Resolves when this member has removed what only revisions below `revision` could see; rejects
 * when the call is over before.
 */
function removed(context: EtcdContext, revision: number, call: GrpcCall): Promise<void> {
  const { feed } = context.member;
  return new Promise((resolve, reject) => {
    const look = (): void => {
      if (feed.compactRevision < revision || feed.compacting) return;
      stop();
      watch.cancel();
      resolve();
    };
    const stop = feed.onApplied(look);
    const watch = watchCall(context, call, (reason) => {
      stop();
      reject(reason);
    });
    look();
  });
}
