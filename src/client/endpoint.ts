import { KvError } from '../api/index.ts';

/** Where a member serves clients. */
export interface Endpoint {
  /** DNS name or IP address, v6 without brackets. */
  readonly host: string;
  /** 1 … 65535. */
  readonly port: number;
  readonly tls: boolean;
}

const HOST_PORT = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([^\s:[\]/@?#]+)):(\d{1,5})$/;

const URL_OF_IT = /^http(s?):\/\/(.*?)\/?$/s;

/**
 * Reads `host:port`, `[v6]:port` or an `http://` or `https://` URL of either. Without a scheme,
 * `bareTls` decides (as etcd: TLS if keys or certificates are given).
 * @throws KvError INVALID_ARGUMENT that names what is wrong, in one line.
 */
export function parseEndpoint(text: string, bareTls = false): Endpoint {
  const [, secure, rest] = URL_OF_IT.exec(text) ?? [];
  const match = HOST_PORT.exec(rest ?? text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port >= 1 && port <= 65_535)) {
    throw new KvError(
      'INVALID_ARGUMENT',
      `endpoint ${quote(text)}: expected host:port, [v6]:port, http://… or https://host:port`,
    );
  }
  return { host, port, tls: secure === undefined ? bareTls : secure === 's' };
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

/** `host:port` or `https://host:port`, brackets around an IPv6 address: one text per endpoint. */
export function endpointText({ host, port, tls }: Endpoint): string {
  const place = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return tls ? `https://${place}` : place;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
