import { encodeCommand } from '../../api/index.ts';
import { type KvPosition, KvStateMachine, positionOf } from '../../kv/index.ts';
import { utf8Bytes } from '../../lib/index.ts';
import { durableStore, memoryEngines, writeSnapshot } from '../../store/index.ts';
import { encodeSnapshotMeta } from '../snapshot-meta.ts';

/** What a made snapshot says. */
export interface MadeSnapshot {
  readonly bytes: Uint8Array;
  readonly position: KvPosition;
}

/** A snapshot of cluster 5 at entry 7 of term 3: so many keys, each with a value of 128 bytes. */
export async function makeSnapshot(
  keys: number,
  { claim = {} }: { claim?: Partial<KvPosition> } = {},
): Promise<MadeSnapshot> {
  const engine = await memoryEngines().open('made', { create: true });
  const store = durableStore(engine);
  const machine = new KvStateMachine({ store });
  const commands = Array.from({ length: keys }, (_, n) =>
    encodeCommand({
      type: 'operation',
      session: null,
      operation: {
        type: 'put',
        key: utf8Bytes(`key-${n}`),
        value: new Uint8Array(128).fill(n),
        prevKv: false,
      },
    }),
  );
  machine.apply({ index: 7, term: 3, timeMs: 1_000_000, commands, conf: null });
  await new Promise<void>((resolve, reject) => {
    store.flush((error) => (error === null ? resolve() : reject(error)));
  });
  const view = store.view();
  const position = positionOf((table, key) => view.get(table, key));
  const meta = encodeSnapshotMeta({ clusterId: 5n, position: { ...position, ...claim } });
  const stream = writeSnapshot(view, { meta, chunkBytesMax: 64 * 1024 });
  const chunks: Uint8Array[] = [];
  for (let chunk = stream.next(); chunk !== null; chunk = stream.next()) chunks.push(chunk);
  stream.close();
  await engine.close();
  return { bytes: Buffer.concat(chunks), position };
}
