import { EMPTY_EXCHANGE, ETCD_EXCHANGES } from '../etcd/index.ts';
import type { GrpcMethod } from '../grpc/index.ts';
import type { Clock } from '../io/index.ts';
import type { HttpExchange } from './exchange.ts';
import { GatewayCall } from './gateway-call.ts';
import { GATEWAY_LIMITS, type GatewayLimits } from './limits.ts';
import { ROUTES } from './routes.ts';

export interface GatewayOptions {
  /** By path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  readonly clock: Clock;
  /** Something else than a GrpcError was thrown: a bug of ours. */
  readonly onDefect: (error: Error) => void;
  /** Default GATEWAY_LIMITS. */
  readonly limits?: Partial<GatewayLimits>;
}

/** Serves `POST /v3/…`. */
export interface Gateway {
  handle(exchange: HttpExchange): void;
}

export function createGateway({ methods, clock, onDefect, limits }: GatewayOptions): Gateway {
  const context = { clock, onDefect, limits: { ...GATEWAY_LIMITS, ...limits } };
  return {
    handle(exchange) {
      const path = ROUTES.get(exchange.path);
      const method = path === undefined ? undefined : methods.get(path);
      if (path === undefined || method === undefined) return refuse(exchange, 404, 'Not Found');
      if (exchange.method !== 'POST') return refuse(exchange, 405, 'Method Not Allowed');
      if (isOfAnotherSite(exchange)) return refuse(exchange, 403, 'Forbidden');
      const types = ETCD_EXCHANGES.get(path) ?? EMPTY_EXCHANGE;
      const call = new GatewayCall({ exchange, path, types, method, ...context });
      exchange.listen(call);
      call.start();
    },
  };
}

/**
 * A page of another site in somebody's browser can send requests here, and needs no answer to do
 * harm. Browsers say so; other clients say nothing. (etcd takes them, and allows all origins.)
 */
function isOfAnotherSite(exchange: HttpExchange): boolean {
  const origin = exchange.header('origin');
  if (origin === null) return false;
  return !URL.canParse(origin) || new URL(origin).host !== exchange.header('host');
}

function refuse(exchange: HttpExchange, status: number, text: string): void {
  const body = Buffer.from(`${text}\n`);
  exchange.listen({ onData() {}, onEnd() {}, onDrain() {}, onClosed() {} });
  exchange.respond(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(body.length),
    'x-content-type-options': 'nosniff',
    ...(status === 405 ? { allow: 'POST' } : {}),
  });
  exchange.write(body);
  exchange.end();
}
