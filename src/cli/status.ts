import type { Command } from 'commander';
import { KvError, type MemberStatus } from '../client/index.ts';
import {
  type ClientFlags,
  callOptions,
  clientCommand,
  connect,
  endpointsOf,
} from './client-command.ts';
import { EXIT, type ExitCode, oneLine } from './exit.ts';
import type { Host } from './host.ts';
import { statusJson, statusLine } from './output.ts';

const EXAMPLES = `
One line for each endpoint. An endpoint that does not answer is listed with the reason, and the
exit code is 1.

Example:
  quorate status --endpoints 10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379`;

/** What one endpoint said of itself, or why it said nothing. */
interface Report {
  readonly endpoint: string;
  readonly status: MemberStatus | KvError;
}

/** `quorate status`. */
export function statusCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return clientCommand('status', 'Shows each member as it sees itself.')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: ClientFlags) => finish(await status(flags, host)));
}

async function status(flags: ClientFlags, host: Host): Promise<ExitCode> {
  const options = callOptions(flags, host);
  const clerk = await connect(flags, host, null);
  const ask = async (endpoint: string): Promise<Report> => {
    try {
      return { endpoint, status: await clerk.status(endpoint, options) };
    } catch (error) {
      if (error instanceof KvError) return { endpoint, status: error };
      throw error;
    }
  };
  try {
    const reports = await Promise.all(endpointsOf(flags, host).map(ask));
    await host.out(flags.writeOut === 'json' ? asJson(reports) : asLines(reports));
    return reports.some((report) => report.status instanceof KvError) ? EXIT.failed : EXIT.ok;
  } finally {
    await clerk.close();
  }
}

function asLines(reports: readonly Report[]): string {
  return reports
    .map(({ endpoint, status }) =>
      status instanceof KvError
        ? `${endpoint}  unreachable: ${oneLine(status.message)}\n`
        : `${statusLine(endpoint, status)}\n`,
    )
    .join('');
}

function asJson(reports: readonly Report[]): string {
  const items = reports.map(({ endpoint, status }) =>
    status instanceof KvError
      ? { endpoint, error: oneLine(status.message) }
      : { endpoint, status: statusJson(status) },
  );
  return `${JSON.stringify(items)}\n`;
}
