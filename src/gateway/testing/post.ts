import http, { Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { SecureContextOptions } from 'node:tls';

/** An answer, as a client of the gateway sees it. */
export interface Posted {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** The body as JSON; as text when it is none. */
  readonly body: unknown;
}

export interface PostOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly agent?: Agent;
  /** For `https`. */
  readonly tls?: SecureContextOptions;
}

/** Sends a request to the gateway; `body` is text, or a value to be sent as JSON. */
export async function post(
  url: string,
  body: unknown = {},
  { method = 'POST', headers = {}, agent, tls }: PostOptions = {},
): Promise<Posted> {
  const { request } = url.startsWith('https:') ? https : http;
  const sent = request(url, { method, headers, ...tls, ...(agent === undefined ? {} : { agent }) });
  sent.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body));
  const response = await responseTo(sent);
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  const { statusCode: status = 0, headers: answered } = response;
  const isJson = answered['content-type'] === 'application/json';
  return { status, headers: answered, body: isJson && text !== '' ? linesOf(text) : text };
}

/** A stream of answers, read one by one. */
export class PostStream {
  readonly #sent: ClientRequest;
  readonly #messages: unknown[] = [];
  #onMessage: () => void = () => {};
  #hasEnded = false;

  private constructor(sent: ClientRequest, response: IncomingMessage) {
    this.#sent = sent;
    // Each message is a chunk of its own: clients rely on it.
    response.setEncoding('utf8').on('data', (chunk: string) => {
      this.#messages.push(
        ...chunk
          .split('\n')
          .filter((line) => line !== '')
          .map(parsed),
      );
      this.#onMessage();
    });
    response.on('error', () => sent.destroy());
    response.on('close', () => {
      this.#hasEnded = true;
      this.#onMessage();
    });
  }

  /** @param isWhole false: more is sent later. */
  static async open(url: string, body: unknown, isWhole = true): Promise<PostStream> {
    const sent = http.request(url, { method: 'POST', agent: new Agent() });
    sent.write(JSON.stringify(body));
    if (isWhole) sent.end();
    return new PostStream(sent, await responseTo(sent));
  }

  send(body: unknown): void {
    this.#sent.write(JSON.stringify(body));
  }

  finish(): void {
    this.#sent.end();
  }

  /** The next message; null: the stream has ended. */
  async next(): Promise<unknown> {
    while (this.#messages.length === 0 && !this.#hasEnded) {
      await new Promise<void>((resolve) => {
        this.#onMessage = resolve;
      });
    }
    return this.#messages.shift() ?? null;
  }

  cancel(): void {
    this.#sent.destroy();
  }
}

function responseTo(sent: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.on('response', resolve);
    sent.on('error', reject);
  });
}

/** One value, or the values of a stream. */
function linesOf(text: string): unknown {
  const values = text.split('\n').filter((line) => line !== '');
  return values.length === 1 ? parsed(values[0] ?? '') : values.map(parsed);
}

function parsed(line: string): unknown {
  return JSON.parse(line);
}
