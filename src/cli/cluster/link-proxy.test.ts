import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LinkProxy } from './link-proxy.ts';

/** A target that answers every request `x` with `<x>`, and remembers what it was sent. */
class Echo {
  readonly server: Server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      this.received += bytes.toString();
      this.onReceived?.();
      socket.write(`<${bytes}>`);
    });
    socket.on('end', () => socket.end('bye'));
  });
  received = '';
  onReceived: (() => void) | null = null;

  async open(): Promise<number> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }
}

let echo: Echo;
let link: LinkProxy;
let sockets: Socket[];

beforeEach(async () => {
  echo = new Echo();
  link = await LinkProxy.open({ host: '127.0.0.1', port: await echo.open() });
  sockets = [];
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await link.close();
  await new Promise((resolve) => echo.server.close(resolve));
});

/** Starts connecting through the link. */
function dialNow(): Socket {
  const socket = connect({ port: Number(new URL(link.url).port), host: '127.0.0.1' });
  sockets.push(socket);
  socket.on('error', () => {});
  return socket;
}

async function dial(): Promise<Socket> {
  const socket = dialNow();
  await once(socket, 'connect');
  return socket;
}

async function ask(socket: Socket, request: string): Promise<string> {
  socket.write(request);
  const [reply] = (await once(socket, 'data')) as [Buffer];
  return reply.toString();
}

/** Resolves with true when the connection breaks. */
async function broken(socket: Socket): Promise<boolean> {
  if (!socket.closed) await new Promise((resolve) => socket.on('close', resolve));
  return true;
}

async function targetReceived(text: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (echo.received.includes(text)) resolve();
    };
    echo.onReceived = look;
    look();
  });
}

describe('a link', () => {
  test('carries requests and replies, and counts them', async () => {
    const socket = await dial();
    expect(await ask(socket, 'one')).toBe('<one>');
    expect(link.counts).toEqual({
      connections: 1,
      requestBytes: 3,
      replyBytes: 5,
      droppedReplyBytes: 0,
    });
  });

  test('passes on the end of a connection after all of its bytes', async () => {
    const socket = await dial();
    const chunks: string[] = [];
    socket.on('data', (bytes) => chunks.push(bytes.toString()));
    socket.end('last');
    await broken(socket);
    expect(chunks.join('')).toBe('<last>bye');
  });

  test('carries many bytes through back-pressure without loss', async () => {
    const total = 8 * 1024 * 1024;
    const socket = await dial();
    let received = 0;
    const all = new Promise<void>((resolve) => {
      socket.on('data', (bytes) => {
        received += bytes.filter((byte) => byte === 0x61).length;
        if (received === total) resolve();
      });
    });
    socket.write(Buffer.alloc(total, 'a'));
    await all;
    expect(echo.received.length).toBe(total);
  });

  test('cut by reset breaks open connections and refuses new ones until it heals', async () => {
    const before = await dial();
    expect(await ask(before, 'a')).toBe('<a>');
    link.cut('reset');
    expect(await broken(before)).toBe(true);
    expect(await broken(dialNow())).toBe(true);
    link.heal();
    expect(await ask(await dial(), 'b')).toBe('<b>');
    expect(echo.received).toBe('ab');
  });

  test('cut silently holds bytes back, breaks nothing, and delivers after it heals', async () => {
    const socket = await dial();
    expect(await ask(socket, 'a')).toBe('<a>');
    link.cut('silent');
    socket.write('b');
    const late = await dial();
    late.write('c');
    // A second link to the same target is an upper bound for how long delivery would have taken.
    const witness = await LinkProxy.open({
      host: '127.0.0.1',
      port: (echo.server.address() as AddressInfo).port,
    });
    const other = connect({ port: Number(new URL(witness.url).port), host: '127.0.0.1' });
    sockets.push(other);
    expect(await ask(other, 'w')).toBe('<w>');
    expect(echo.received).toBe('aw');
    const replies = Promise.all([once(socket, 'data'), once(late, 'data')]);
    link.heal();
    expect((await replies).map(([bytes]) => String(bytes))).toEqual(['<b>', '<c>']);
    await witness.close();
  });

  test('that drops replies delivers requests; healing breaks the streams with a gap', async () => {
    const socket = await dial();
    const idle = await dial();
    expect(await ask(idle, 'i')).toBe('<i>');
    link.cut('dropReplies');
    let heard = '';
    socket.on('data', (bytes) => {
      heard += bytes.toString();
    });
    socket.write('request');
    await targetReceived('request');
    while (link.counts.droppedReplyBytes < '<request>'.length) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    link.heal();
    expect(await broken(socket)).toBe(true);
    expect(heard).toBe('');
    expect(await ask(idle, 'j')).toBe('<j>');
  });

  test('delays every byte, and keeps their order when the delay shrinks', async () => {
    const socket = await dial();
    let heard = '';
    const both = new Promise<void>((resolve) => {
      socket.on('data', (bytes) => {
        heard += bytes.toString();
        if (heard.includes('b')) resolve();
      });
    });
    const startMs = performance.now();
    link.delay(60);
    socket.write('a');
    await new Promise((resolve) => setTimeout(resolve, 20));
    link.delay(0);
    socket.write('b');
    await both;
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(59);
    expect(heard.indexOf('a')).toBeLessThan(heard.indexOf('b'));
  });

  test('whose target refuses connections breaks the dialler too', async () => {
    await new Promise((resolve) => echo.server.close(resolve));
    expect(await broken(dialNow())).toBe(true);
    echo = new Echo();
    await echo.open();
  });

  test('can be closed twice', async () => {
    const socket = await dial();
    await link.close();
    await link.close();
    expect(await broken(socket)).toBe(true);
  });
});
