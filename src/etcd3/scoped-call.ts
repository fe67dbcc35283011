import type { Client, Metadata, ServiceError } from '@grpc/grpc-js';
import type { Etcd3 } from 'etcd3';

/** What etcd3 sends all its calls through. */
export type Pool = Etcd3['pool'];

/** A call that is no stream, as etcd3 makes it. */
export interface PoolCall {
  readonly service: Parameters<Pool['exec']>[0];
  readonly method: string;
  readonly payload: unknown;
  readonly options?: Parameters<Pool['exec']>[3];
}

/** How one attempt ended: it may be one of several, as etcd3 tries three times more by itself. */
export interface AttemptEnd {
  /** gRPC status; 0: OK. */
  readonly status: number;
  /** Headers and trailers of the answer, of names that begin with `quorate-`. */
  readonly said: ReadonlyMap<string, string>;
}

type Unary = (
  payload: unknown,
  metadata: Metadata,
  options: object,
  callback: (error: ServiceError | null, response: unknown) => void,
) => { on(event: 'metadata', listener: (headers: Metadata) => void): unknown };

/**
 * Makes a call with metadata of its own. etcd3 has no place for that, and hides what comes with an
 * answer: so the call is made on the pool as it is, but for the connection that it is given.
 * @param exec the pool's own, whatever stands in its place now.
 */
export function callWith(
  { pool, exec }: { readonly pool: Pool; readonly exec: Pool['exec'] },
  { service, method, payload, options }: PoolCall,
  scope: {
    readonly metadata: Readonly<Record<string, string>>;
    readonly onEnd: (end: AttemptEnd) => void;
  },
): Promise<unknown> {
  const scoped: Pool = Object.create(pool, {
    withConnection: {
      value: ((name, run, hosts) =>
        pool.withConnection(
          name,
          (args) => run({ ...args, client: scopedClient(args.client, method, scope) }),
          hosts,
        )) satisfies Pool['withConnection'],
    },
  });
  return exec.call(scoped, service, method, payload, options);
}

function scopedClient(
  client: Client,
  method: string,
  {
    metadata,
    onEnd,
  }: {
    readonly metadata: Readonly<Record<string, string>>;
    readonly onEnd: (end: AttemptEnd) => void;
  },
): Client {
  const original = (client as unknown as Readonly<Record<string, Unary>>)[method];
  if (original === undefined) throw new Error(`etcd3 has no method ${method}`);
  const scoped: Unary = (payload, given, options, callback) => {
    const sent = given.clone();
    for (const [name, value] of Object.entries(metadata)) sent.set(name, value);
    const said = new Map<string, string>();
    const listen = (from: Metadata | undefined): void => {
      for (const [name, value] of Object.entries(from?.getMap() ?? {})) {
        if (name.startsWith('quorate-')) said.set(name, value.toString());
      }
    };
    const call = original.call(client, payload, sent, options, (error, response) => {
      listen(error?.metadata);
      onEnd({ status: error?.code ?? 0, said });
      callback(error, response);
    });
    call.on('metadata', listen);
    return call;
  };
  return { [method]: scoped } as unknown as Client;
}
