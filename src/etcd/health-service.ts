import { GrpcError, type GrpcMethod, type GrpcStream } from '../grpc/index.ts';
import type { Timer } from '../io/index.ts';
import { decoded, type EtcdContext, type Methods } from './context.ts';
import { etcdError } from './errors.ts';
import { HEALTH_CHECK_REQUEST, HEALTH_CHECK_RESPONSE, SERVING_STATUS } from './messages/health.ts';

/** grpc.health.v1.Health: the member as a whole (service ""); it serves while it knows a leader. */
export function healthMethods(context: EtcdContext): Methods {
  const status = (): number =>
    context.member.hasLeader ? SERVING_STATUS.SERVING : SERVING_STATUS.NOT_SERVING;
  return {
    Check: {
      type: 'unary',
      handle(request, _call, reply) {
        if (!isKnown(request)) throw new GrpcError('NOT_FOUND', 'unknown service');
        reply.answer(HEALTH_CHECK_RESPONSE.encode({ status: status() }));
      },
    },
    Watch: watchMethod(context, status),
  };
}

function isKnown(request: Uint8Array): boolean {
  return decoded(HEALTH_CHECK_REQUEST, request).service === '';
}

/** Tells the status now, and whenever it has changed. */
function watchMethod({ clock, limits }: EtcdContext, status: () => number): GrpcMethod {
  return {
    type: 'serverStream',
    open(request, _call, stream) {
      if (!isKnown(request)) {
        tell(stream, SERVING_STATUS.SERVICE_UNKNOWN);
        return { onClosed() {}, onStopping: () => stream.end(STOPPING) };
      }
      let told: number | null = null;
      let timer: Timer | null = null;
      const look = (): void => {
        const now = status();
        if (now !== told) tell(stream, now);
        told = now;
        timer = clock.setTimer(limits.healthIntervalMs, look);
      };
      look();
      return { onClosed: () => timer?.cancel(), onStopping: () => stream.end(STOPPING) };
    },
  };
}

const STOPPING = etcdError('UNAVAILABLE', 'server stopped');

function tell(stream: GrpcStream, status: number): void {
  stream.send(HEALTH_CHECK_RESPONSE.encode({ status }));
}
