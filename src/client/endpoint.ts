import { KvError } from '../api/index.ts';

/** Where a member serves clients. */
export interface Endpoint {
  /** DNS name or IP address, v6 without brackets. */
  readonly host: string;
  /** 1 … 65535. */
  readonly port: number;
}

const HOST_PORT = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s:[\]/@?#]+)):(\d{1,5})$/;

/**
 * Reads `host:port`, `[v6]:port` or an `http://` URL of either.
 * @throws KvError INVALID_ARGUMENT that names what is wrong, in one line.
 */
export function parseEndpoint(text: string): Endpoint {
  if (text.startsWith('https://')) {
    throw new KvError('INVALID_ARGUMENT', `endpoint ${quote(text)}: https is not supported`);
  }
  const bare = text.startsWith('http://') ? text.slice('http://'.length).replace(/\/$/, '') : text;
  const match = HOST_PORT.exec(bare);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port >= 1 && port <= 65_535)) {
    throw new KvError(
      'INVALID_ARGUMENT',
      `endpoint ${quote(text)}: expected host:port, [v6]:port or http://host:port`,
    );
  }
  return { host, port };
}

/** The endpoint of a member's advertised URL; null when this client cannot use it. */
export function tryParseEndpoint(text: string): Endpoint | null {
  try {
    return parseEndpoint(text);
  } catch (error) {
    if (error instanceof KvError) return null;
    throw error;
  }
}

/** `host:port`, with brackets around an IPv6 address: one text per endpoint. */
export function endpointText(endpoint: Endpoint): string {
  const host = endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host;
  return `${host}:${endpoint.port}`;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
