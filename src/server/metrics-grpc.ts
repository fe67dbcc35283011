import { GRPC_STATUS, type GrpcStatus, type MethodTally } from '../grpc/index.ts';

/*
 * What gRPC servers in Go count, by the same names and labels (go-grpc-prometheus). The text is
 * made here: with all codes of all methods these are a thousand series, for which prom-client would
 * hold up the event loop for 5 ms at every scrape.
 */

/** As Go writes the codes. */
const CODE_NAMES: Readonly<Record<GrpcStatus, string>> = {
  OK: 'OK',
  CANCELLED: 'Canceled',
  UNKNOWN: 'Unknown',
  INVALID_ARGUMENT: 'InvalidArgument',
  DEADLINE_EXCEEDED: 'DeadlineExceeded',
  NOT_FOUND: 'NotFound',
  ALREADY_EXISTS: 'AlreadyExists',
  PERMISSION_DENIED: 'PermissionDenied',
  RESOURCE_EXHAUSTED: 'ResourceExhausted',
  FAILED_PRECONDITION: 'FailedPrecondition',
  ABORTED: 'Aborted',
  OUT_OF_RANGE: 'OutOfRange',
  UNIMPLEMENTED: 'Unimplemented',
  INTERNAL: 'Internal',
  UNAVAILABLE: 'Unavailable',
  DATA_LOSS: 'DataLoss',
  UNAUTHENTICATED: 'Unauthenticated',
};

const TYPE_NAMES: Readonly<Record<MethodTally['type'], string>> = {
  unary: 'unary',
  clientStream: 'client_stream',
  serverStream: 'server_stream',
  bidi: 'bidi_stream',
};

/** One line of the page, without its value, and where the value is. */
interface Series {
  readonly name: string;
  readonly read: () => number;
}

/** Counts of calls as a part of a Prometheus page; the tallies are read at every call. */
export function grpcMetrics(tallies: readonly MethodTally[]): () => string {
  const perMethod = (name: string, read: (tally: MethodTally) => number): Series[] =>
    tallies.map((tally) => ({ name: `${name}{${labelsOf(tally)}}`, read: () => read(tally) }));
  const families: readonly [head: string, series: Series[]][] = [
    [
      counterHead('grpc_server_started_total', 'Calls that began.'),
      perMethod('grpc_server_started_total', ({ started }) => started),
    ],
    [
      counterHead('grpc_server_handled_total', 'Calls that are over, by their status.'),
      tallies.flatMap(handledOf),
    ],
    [
      counterHead('grpc_server_msg_received_total', 'Messages received.'),
      perMethod('grpc_server_msg_received_total', ({ received }) => received),
    ],
    [
      counterHead('grpc_server_msg_sent_total', 'Messages sent.'),
      perMethod('grpc_server_msg_sent_total', ({ sent }) => sent),
    ],
  ];
  const textOf = ([head, series]: (typeof families)[number]): string =>
    head + series.map(({ name, read }) => `${name} ${read()}\n`).join('');
  return () => families.map(textOf).join('\n');
}

function counterHead(name: string, help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} counter\n`;
}

/** All codes, also those that never came: a rate needs the 0 before the first 1. */
function handledOf(tally: MethodTally): Series[] {
  const labels = labelsOf(tally);
  return Object.entries(CODE_NAMES).map(([status, code]) => ({
    name: `grpc_server_handled_total{grpc_code="${code}",${labels}}`,
    read: () => tally.handled[GRPC_STATUS[status as GrpcStatus]] ?? 0,
  }));
}

/** In etcd's order. Names of methods have nothing in them that would have to be escaped. */
function labelsOf({ path, type }: MethodTally): string {
  const [, service, method] = path.split('/');
  return `grpc_method="${method}",grpc_service="${service}",grpc_type="${TYPE_NAMES[type]}"`;
}
