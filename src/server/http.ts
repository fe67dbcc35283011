import type { MemberStatus } from '../api/index.ts';
import { ETCD_VERSION } from '../etcd/index.ts';
import type { Gateway, HttpExchange, HttpHandlers } from '../gateway/index.ts';

export interface HttpHandlerOptions {
  readonly status: () => MemberStatus;
  /** The quota is reached. Default: never. */
  readonly isOutOfSpace?: () => boolean;
  /** Serves what is below /v3/. Default: nobody. */
  readonly gateway?: Gateway;
  /** The product's version. */
  readonly version: string;
  /** Prometheus text. */
  readonly metrics: () => Promise<string>;
  /** A page failed. Default: nobody is told beyond the client. */
  readonly onDefect?: (error: Error) => void;
}

interface Page {
  readonly status: number;
  readonly type: 'application/json' | 'text/plain; charset=utf-8' | typeof METRICS_TYPE;
  readonly body: string;
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** etcd's API; paths below it are the gateway's. */
const API = '/v3/';

/**
 * The pages for operators and their tools, as etcd has them: /health, /livez, /readyz, /version,
 * /metrics, by GET and HEAD. And the JSON gateway.
 */
export function createHttpHandler(options: HttpHandlerOptions): (exchange: HttpExchange) => void {
  const pages = new Map<string, (query: URLSearchParams) => Promise<Page> | Page>([
    ['/health', (query) => health(options, query)],
    ['/livez', (query) => checks([['serializable_read', null]], query)],
    ['/readyz', (query) => readiness(options.status(), query)],
    ['/version', () => json(200, versions(options.version))],
    ['/metrics', async () => ({ status: 200, type: METRICS_TYPE, body: await options.metrics() })],
  ]);
  const answer = async ({ method, path, url }: HttpExchange): Promise<Page> => {
    const page = pages.get(path);
    if (page === undefined) return json(404, { error: 'not found' });
    const query = new URLSearchParams(url.slice(path.length + 1));
    if (method === 'GET' || method === 'HEAD') return page(query);
    return json(405, { error: 'method not allowed' });
  };
  return (exchange) => {
    if (options.gateway !== undefined && exchange.path.startsWith(API)) {
      return options.gateway.handle(exchange);
    }
    exchange.listen(NOT_LISTENING);
    answer(exchange)
      .catch((error: unknown) => {
        options.onDefect?.(error instanceof Error ? error : new Error(String(error)));
        return json(500, { error: 'internal error' });
      })
      .then((page) => send(exchange, page))
      .catch(() => exchange.destroy());
  };
}

/** As etcd: `?serializable=true` is about this member alone, `?exclude=NOSPACE` not that alarm. */
function health(
  { status, isOutOfSpace }: Pick<HttpHandlerOptions, 'status' | 'isOutOfSpace'>,
  query: URLSearchParams,
): Page {
  const sick = (reason: string): Page => json(503, { health: 'false', reason });
  const isExcluded = query.getAll('exclude').includes('NOSPACE');
  if (!isExcluded && isOutOfSpace?.() === true) return sick('ALARM NOSPACE');
  const isLocal = query.get('serializable') === 'true';
  if (!isLocal && status().leader === null) return sick('RAFT NO LEADER');
  return json(200, { health: 'true', reason: '' });
}

function readiness({ leader }: MemberStatus, query: URLSearchParams): Page {
  const failure = leader === null ? 'no leader' : null;
  return checks(
    [
      // A member that finds its data damaged stops.
      ['data_corruption', null],
      ['serializable_read', null],
      ['linearizable_read', failure],
    ],
    query,
  );
}

/** Names of checks with why they failed, if they did; listed for `?verbose`, as in etcd. */
function checks(results: readonly [string, string | null][], query: URLSearchParams): Page {
  const failures = results.flatMap(([, failure]) => failure ?? []);
  const end = failures.length === 0 ? 'ok' : failures.join(', ');
  const status = failures.length === 0 ? 200 : 503;
  if (!query.has('verbose')) return text(status, end);
  const lines = results.map(([name, failure]) =>
    failure === null ? `[+]${name} ok` : `[-]${name} failed: ${failure}`,
  );
  return text(status, [...lines, end].join('\n'));
}

/** Clients of etcd look at the first two, and take `x.y.z` for a version. */
function versions(quorate: string): Readonly<Record<string, string>> {
  const minor = ETCD_VERSION.split('.').slice(0, 2).join('.');
  return { etcdserver: ETCD_VERSION, etcdcluster: `${minor}.0`, quorate };
}

function json(status: number, value: Readonly<Record<string, string>>): Page {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` };
}

function text(status: number, line: string): Page {
  return { status, type: 'text/plain; charset=utf-8', body: `${line}\n` };
}

/** Of what a page is asked with nothing is read, and an answer that nobody takes is lost. */
const NOT_LISTENING: HttpHandlers = { onData() {}, onEnd() {}, onDrain() {}, onClosed() {} };

function send(exchange: HttpExchange, page: Page): void {
  const body = Buffer.from(page.body);
  exchange.respond(page.status, {
    'content-type': page.type,
    'content-length': String(body.length),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(page.status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  if (exchange.method !== 'HEAD') exchange.write(body);
  exchange.end();
}
