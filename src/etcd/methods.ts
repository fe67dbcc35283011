import type { GrpcMethod } from '../grpc/index.ts';
import type { Clock, Random } from '../io/index.ts';
import { authMethods } from './auth-service.ts';
import { clusterMethods } from './cluster-service.ts';
import {
  demandLeader,
  type EtcdContext,
  type EtcdMember,
  type Methods,
  wantsLeader,
} from './context.ts';
import { electionMethods } from './election-service.ts';
import { healthMethods } from './health-service.ts';
import { kvMethods } from './kv-service.ts';
import { leaseMethods } from './lease-service.ts';
import { ETCD_LIMITS, type EtcdLimits } from './limits.ts';
import { lockMethods } from './lock-service.ts';
import { maintenanceMethods } from './maintenance-service.ts';
import { Writes } from './session-writes.ts';
import { WatchHub } from './watch-hub.ts';
import { WatchStream } from './watch-stream.ts';

export interface EtcdOptions {
  readonly member: EtcdMember;
  readonly clock: Clock;
  readonly random: Random;
  /** Default ETCD_LIMITS. */
  readonly limits?: Partial<EtcdLimits>;
}

/** The methods of etcd's services and of grpc.health.v1, by path. */
export function etcdMethods(options: EtcdOptions): ReadonlyMap<string, GrpcMethod> {
  const context: EtcdContext = { ...options, limits: { ...ETCD_LIMITS, ...options.limits } };
  const writes = new Writes(context);
  const hub = new WatchHub(context);
  const services: Readonly<Record<string, Methods>> = {
    'etcdserverpb.KV': kvMethods(context, writes),
    'etcdserverpb.Lease': leaseMethods(context, writes),
    'etcdserverpb.Watch': watchMethods(context, hub),
    'etcdserverpb.Cluster': clusterMethods(context),
    'etcdserverpb.Maintenance': maintenanceMethods(context),
    'etcdserverpb.Auth': authMethods(),
    'v3lockpb.Lock': lockMethods(context, hub),
    'v3electionpb.Election': electionMethods(context, hub),
    'grpc.health.v1.Health': healthMethods(context),
  };
  return new Map(
    Object.entries(services).flatMap(([service, methods]) =>
      Object.entries(methods).map(([name, method]) => [`/${service}/${name}`, method] as const),
    ),
  );
}

/** etcdserverpb.Watch */
function watchMethods(context: EtcdContext, hub: WatchHub): Methods {
  return {
    Watch: {
      type: 'bidi',
      open(call, stream) {
        demandLeader(context, call);
        return new WatchStream(context, { hub, stream, wantsLeader: wantsLeader(call) });
      },
    },
  };
}
