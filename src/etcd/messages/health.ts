import { int, MessageType, string } from '../codec.ts';

/* The messages of grpc.health.v1.Health. */

export const SERVING_STATUS = {
  UNKNOWN: 0,
  SERVING: 1,
  NOT_SERVING: 2,
  SERVICE_UNKNOWN: 3,
} as const;

export const HEALTH_CHECK_REQUEST = new MessageType('HealthCheckRequest', { service: string(1) });

export const HEALTH_CHECK_RESPONSE = new MessageType('HealthCheckResponse', { status: int(1) });
