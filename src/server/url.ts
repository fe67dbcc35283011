import type { Address } from '../io/index.ts';
import { ConfigError } from './options.ts';

const PORT_MAX = 65_535;

/**
 * Reads `http://host:port`; `[v6]` hosts in brackets.
 * @throws ConfigError naming the option and what is wrong with the URL.
 */
export function parseUrl(option: string, text: string): Address {
  const match = /^(?<scheme>[a-z][a-z0-9+.-]*):\/\/(?<rest>.*)$/i.exec(text);
  const scheme = match?.groups?.['scheme']?.toLowerCase();
  if (scheme === undefined) {
    throw new ConfigError(`${option}: '${text}' is no URL: write http://HOST:PORT`);
  }
  if (scheme !== 'http') {
    throw new ConfigError(
      `${option}: '${text}': scheme '${scheme}' is not served here: write http://`,
    );
  }
  const rest = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^:/?#@[\]\s]+)):(?<port>\d{1,5})\/?$/.exec(
    match?.groups?.['rest'] ?? '',
  );
  const host = rest?.groups?.['v6'] ?? rest?.groups?.['host'];
  if (host === undefined) {
    throw new ConfigError(`${option}: '${text}' must be http://HOST:PORT, without a path`);
  }
  const port = Number(rest?.groups?.['port']);
  if (port > PORT_MAX) {
    throw new ConfigError(`${option}: '${text}': port ${port} is above ${PORT_MAX}`);
  }
  return { host, port };
}

export function formatUrl(address: Address): string {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `http://${host}:${address.port}`;
}

/**
 * What to bind for a URL: `localhost` is the IPv4 loopback, as Go's resolver has it, whatever the
 * host file says.
 */
export function bindAddress(address: Address): Address {
  return address.host === 'localhost' ? { host: '127.0.0.1', port: address.port } : address;
}
