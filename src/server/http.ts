import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { MemberStatus } from '../api/index.ts';

export interface HttpHandlerOptions {
  readonly status: () => MemberStatus;
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

/**
 * The pages for operators and their tools, as etcd has them: /health, /livez, /readyz, /version,
 * /metrics. GET and HEAD; one request on each connection.
 */
export function createHttpHandler(options: HttpHandlerOptions): RequestListener {
  const pages = new Map<string, () => Promise<Page> | Page>([
    ['/health', () => health(options.status())],
    ['/livez', () => text(200, 'ok')],
    ['/readyz', () => readiness(options.status())],
    ['/version', () => json(200, { quorate: options.version })],
    ['/metrics', async () => ({ status: 200, type: METRICS_TYPE, body: await options.metrics() })],
  ]);
  const answer = async (request: IncomingMessage): Promise<Page> => {
    const page = pages.get(pathOf(request.url ?? ''));
    if (page === undefined) return json(404, { error: 'not found' });
    if (request.method === 'GET' || request.method === 'HEAD') return page();
    return json(405, { error: 'method not allowed' });
  };
  return (request, response) => {
    answer(request)
      .catch((error: unknown) => {
        options.onDefect?.(error instanceof Error ? error : new Error(String(error)));
        return json(500, { error: 'internal error' });
      })
      .then((page) => send(request, response, page))
      .catch(() => response.destroy());
  };
}

function health({ leader }: MemberStatus): Page {
  return leader === null
    ? json(503, { health: 'false', reason: 'RAFT NO LEADER' })
    : json(200, { health: 'true', reason: '' });
}

function readiness({ leader }: MemberStatus): Page {
  return leader === null ? text(503, 'no leader') : text(200, 'ok');
}

function json(status: number, value: Readonly<Record<string, string>>): Page {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` };
}

function text(status: number, line: string): Page {
  return { status, type: 'text/plain; charset=utf-8', body: `${line}\n` };
}

function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query === -1 ? url : url.slice(0, query);
}

function send(request: IncomingMessage, response: ServerResponse, page: Page): void {
  response.writeHead(page.status, {
    'content-type': page.type,
    'content-length': Buffer.byteLength(page.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    connection: 'close',
    ...(page.status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : page.body);
}
