import type { Address } from '../io/index.ts';
import { ConfigError } from './options.ts';

const PORT_MAX = 65_535;

/** Where a URL leads. */
export interface Place extends Address {
  /** `https`. */
  readonly tls: boolean;
}

/**
 * Reads `http://host:port` or `https://host:port`; `[v6]` hosts in brackets.
 * @throws ConfigError naming the option and what is wrong with the URL.
 */
export function parseUrl(option: string, text: string): Place {
  const match = /^(?<scheme>[a-z][a-z0-9+.-]*):\/\/(?<rest>.*)$/i.exec(text);
  const scheme = match?.groups?.['scheme']?.toLowerCase();
  if (scheme === undefined) {
    throw new ConfigError(`${option}: '${text}' is no URL: write http://HOST:PORT`);
  }
  if (scheme !== 'http' && scheme !== 'https') {
    throw new ConfigError(
      `${option}: '${text}': scheme '${scheme}' is not served here: write http:// or https://`,
    );
  }
  const rest = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^:/?#@[\]\s]+)):(?<port>\d{1,5})\/?$/.exec(
    match?.groups?.['rest'] ?? '',
  );
  const host = rest?.groups?.['v6'] ?? rest?.groups?.['host'];
  if (host === undefined) {
    throw new ConfigError(`${option}: '${text}' must be ${scheme}://HOST:PORT, without a path`);
  }
  const port = Number(rest?.groups?.['port']);
  if (port > PORT_MAX) {
    throw new ConfigError(`${option}: '${text}': port ${port} is above ${PORT_MAX}`);
  }
  return { host, port, tls: scheme === 'https' };
}

export function formatUrl({ host, port, tls }: Place): string {
  const bracketed = host.includes(':') ? `[${host}]` : host;
  return `${tls ? 'https' : 'http'}://${bracketed}:${port}`;
}

/**
 * What to bind for a URL: `localhost` is the IPv4 loopback, as Go's resolver has it, whatever the
 * host file says.
 */
export function bindAddress(place: Place): Place {
  return place.host === 'localhost' ? { ...place, host: '127.0.0.1' } : place;
}
