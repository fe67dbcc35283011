import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import type { Draft, MessageType } from '../codec.ts';

/** How a call ended: with a message, or with a status and its text. */
export type Outcome<T> =
  | { readonly ok: true; readonly response: T }
  | {
      readonly ok: false;
      readonly code: number;
      readonly text: string;
      readonly trailers: Readonly<Record<string, string>>;
    };

export interface Exchange<Request, Response> {
  readonly path: string;
  readonly request: MessageType<Request>;
  readonly response: MessageType<Response>;
}

/** A call on its way. */
export interface StartedCall<T> {
  readonly outcome: Promise<Outcome<T>>;
  cancel(): void;
}

/** Calls an etcd, ours or the real one, over gRPC's own client with our codec. */
export class Caller {
  readonly #client: Client;

  /** @param address `host:port` */
  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
    });
  }

  call<Request, Response>(
    exchange: Exchange<Request, Response>,
    value: Draft<Request>,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<Outcome<Response>> {
    return this.start(exchange, value, metadata).outcome;
  }

  /** The same for a call that may be given up. */
  start<Request, Response>(
    exchange: Exchange<Request, Response>,
    value: Draft<Request>,
    metadata: Readonly<Record<string, string>> = {},
  ): StartedCall<Response> {
    const { path, request, response } = exchange;
    let cancel = (): void => {};
    const outcome = new Promise<Outcome<Response>>((resolve) => {
      const call = this.#client.makeUnaryRequest(
        path,
        (message: Draft<Request>) => Buffer.from(request.encode(message)),
        (bytes: Buffer) => response.decode(bytes),
        value,
        metadataOf(metadata),
        { deadline: Date.now() + 20_000 },
        (error: ServiceError | null, answer?: Response) => {
          if (error !== null || answer === undefined) resolve(failureOf(error));
          else resolve({ ok: true, response: answer });
        },
      );
      cancel = () => call.cancel();
    });
    return { outcome, cancel };
  }

  stream<Request, Response>(
    { path, request, response }: Exchange<Request, Response>,
    metadata: Readonly<Record<string, string>> = {},
  ): CallerStream<Request, Response> {
    return new CallerStream(
      this.#client.makeBidiStreamRequest(
        path,
        (message: Draft<Request>) => Buffer.from(request.encode(message)),
        (bytes: Buffer) => response.decode(bytes),
        metadataOf(metadata),
      ),
    );
  }

  close(): void {
    this.#client.close();
  }
}

/** A stream in both directions, read in order. */
export class CallerStream<Request, Response> {
  /** How it ended; pending while it is open. */
  readonly ended: Promise<Outcome<null>>;
  readonly #stream: ClientDuplexStream<Draft<Request>, Response>;
  readonly #received: Response[] = [];
  #onMessage: () => void = () => {};

  constructor(stream: ClientDuplexStream<Draft<Request>, Response>) {
    this.#stream = stream;
    stream.on('data', (message: Response) => {
      this.#received.push(message);
      this.#onMessage();
    });
    this.ended = new Promise((resolve) => {
      stream.on('error', (error: ServiceError) => resolve(failureOf(error)));
      stream.on('end', () => resolve({ ok: true, response: null }));
    });
  }

  send(message: Draft<Request>): void {
    this.#stream.write(message);
  }

  /** The next message, waited for. */
  async next(): Promise<Response> {
    while (this.#received.length === 0) {
      await new Promise<void>((resolve) => {
        this.#onMessage = resolve;
      });
    }
    return this.#received.shift() as Response;
  }

  /** Sends no more. */
  finish(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

function metadataOf(values: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(values)) metadata.set(name, value);
  return metadata;
}

function failureOf(error: ServiceError | null): Outcome<never> {
  const trailers = error?.metadata?.getMap() ?? {};
  return {
    ok: false,
    code: error?.code ?? -1,
    text: error?.details ?? 'no answer',
    trailers: Object.fromEntries(
      Object.entries(trailers).map(([name, value]) => [name, value.toString()]),
    ),
  };
}
