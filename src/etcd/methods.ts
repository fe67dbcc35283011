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
import { healthMethods } from './health-service.ts';
import { kvMethods } from './kv-service.ts';
import { leaseMethods } from './lease-service.ts';
import { ETCD_LIMITS, type EtcdLimits } from './limits.ts';
import { maintenanceMethods } from './maintenance-service.ts';
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
  const services: Readonly<Record<string, Methods>> = {
    'etcdserverpb.KV': kvMethods(context),
    'etcdserverpb.Lease': leaseMethods(context),
    'etcdserverpb.Watch': watchMethods(context),
    'etcdserverpb.Cluster': clusterMethods(context),
    'etcdserverpb.Maintenance': maintenanceMethods(context),
    'etcdserverpb.Auth': authMethods(),
    'grpc.health.v1.Health': healthMethods(context),
  };
  return new Map(
    Object.entries(services).flatMap(([service, methods]) =>
      Object.entries(methods).map(([name, method]) => [`/${service}/${name}`, method] as const),
    ),
  );
}

/** etcdserverpb.Watch */
function watchMethods(context: EtcdContext): Methods {
  const hub = new WatchHub(context);
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
