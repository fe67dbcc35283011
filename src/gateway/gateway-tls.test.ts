import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:http2';
import type { SecureContextOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Authority } from '../io/testing/authority.ts';
import { type Server, startServer } from '../server/index.ts';
import { post } from './testing/post.ts';

/* The gateway on a port that speaks TLS and asks for certificates: what a client offers by ALPN, or
 * does not, decides between HTTP/1.1 and HTTP/2, and both lead to the same methods. */

const authority = new Authority();
const ca = readFileSync(authority.caFile);
let server: Server;
let url: string;

beforeAll(async () => {
  server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['https://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
    clientTls: { ...authority.issue(), trustedCaFile: authority.caFile },
  });
  await server.ready;
  url = server.clientUrls[0] ?? '';
});

afterAll(async () => {
  await server.close();
  authority.remove();
});

/** A client with a certificate of the authority. */
function certificate(): SecureContextOptions {
  const { certFile, keyFile } = authority.issue({ commonName: 'client' });
  return { ca, cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

const b64 = (text: string): string => Buffer.from(text).toString('base64');

describe('over TLS', () => {
  test('HTTP/1.1 reads what it has put, and a refusal has its status', async () => {
    const tls = certificate();
    const put = await post(`${url}/v3/kv/put`, { key: b64('k'), value: b64('v') }, { tls });
    expect([put.status, put.headers['content-type']]).toEqual([200, 'application/json']);
    const range = await post(`${url}/v3/kv/range`, { key: b64('k') }, { tls });
    expect(range.body).toMatchObject({ kvs: [{ value: b64('v') }] });
    expect((await post(`${url}/v3/kv/range`, {}, { tls })).status).toBe(400);
  });

  test('HTTP/2 does, too, with a stream that goes on while others are asked', async () => {
    const session = connect(url, certificate());
    const open = (path: string, body: object) => {
      const stream = session.request({ ':path': path, ':method': 'POST' });
      stream.end(JSON.stringify(body));
      return stream.setEncoding('utf8');
    };
    const watch = open('/v3/watch', { create_request: { key: b64('w') } });
    const [created] = (await once(watch, 'data')) as [string];
    expect(JSON.parse(created)).toMatchObject({ result: { created: true } });
    const told = once(watch, 'data');
    open('/v3/kv/put', { key: b64('w'), value: b64('news') }).resume();
    const [event] = (await told) as [string];
    expect(JSON.parse(event)).toMatchObject({
      result: { events: [{ kv: { value: b64('news') } }] },
    });
    expect(session.alpnProtocol).toBe('h2');
    session.destroy();
  });

  test('a page of another site meets the same refusal', async () => {
    const asked = { headers: { origin: 'https://evil.example' }, tls: certificate() };
    expect((await post(`${url}/v3/kv/range`, { key: b64('k') }, asked)).status).toBe(403);
    const own = { headers: { origin: url }, tls: certificate() };
    expect((await post(`${url}/v3/kv/range`, { key: b64('k') }, own)).status).toBe(200);
  });

  test('nobody is served without a certificate', async () => {
    const asked = post(`${url}/v3/kv/range`, { key: b64('k') }, { tls: { ca } });
    await expect(asked).rejects.toThrow();
  });
});
