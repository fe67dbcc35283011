import { etcdFlagNames, verdictOnEtcdFlag } from './etcd-flags.ts';
import { CliError, EXIT, oneLine, reasonOf, usageError } from './exit.ts';
import { aliasOf, SERVE_FLAGS, type ServeFlagName, type ServeSettings } from './serve-flags.ts';
import { suggest } from './suggest.ts';

/** Variables of the client commands. */
const OTHER_VARIABLES = [
  'QUORATE_ENDPOINTS',
  'QUORATE_CACERT',
  'QUORATE_CERT',
  'QUORATE_KEY',
  'QUORATE_INSECURE_SKIP_TLS_VERIFY',
] as const;

const FLAG_NAMES = Object.keys(SERVE_FLAGS) as ServeFlagName[];

export interface ResolvedSettings {
  readonly settings: ServeSettings;
  /** One line for each variable that has no effect. */
  readonly warnings: readonly string[];
  /** Variables that settings came from, by flag, for error lines. */
  readonly variables: ReadonlyMap<ServeFlagName, string>;
}

/** The flag's variable: `--data-dir` is QUORATE_DATA_DIR and ETCD_DATA_DIR. */
export function variableOf(flag: string, prefix: 'QUORATE' | 'ETCD'): string {
  return `${prefix}_${flag.replaceAll('-', '_').toUpperCase()}`;
}

/** All that may set it, in order of precedence. */
function variablesOf(flag: ServeFlagName): string[] {
  const alias = aliasOf(flag);
  const names = [variableOf(flag, 'QUORATE'), variableOf(flag, 'ETCD')];
  return alias === null ? names : [...names, variableOf(alias, 'ETCD')];
}

/**
 * Brings flags and variables together. A flag wins over QUORATE_…, that over ETCD_…; an empty
 * variable counts as not set, as etcd has it.
 * @throws CliError (usage) at the first value that cannot be used.
 */
export function resolveSettings(
  flags: Readonly<Partial<Record<ServeFlagName, string>>>,
  environment: Readonly<Record<string, string | undefined>>,
): ResolvedSettings {
  const warnings = checkVariables(environment);
  const settings: Record<string, unknown> = {};
  const variables = new Map<ServeFlagName, string>();
  for (const flag of FLAG_NAMES) {
    const variable = variablesOf(flag).find((name) => (environment[name] ?? '') !== '');
    const text = flags[flag] ?? (variable === undefined ? undefined : environment[variable]);
    if (text === undefined) continue;
    if (flags[flag] === undefined && variable !== undefined) variables.set(flag, variable);
    settings[flag] = parseFlag(flag, text, variables);
  }
  return { settings, warnings, variables };
}

/** A line about a flag, with the variable it was set by: `--name: … (from ETCD_NAME)`. */
export function withSource(line: string, variables: ReadonlyMap<string, string>): string {
  const flag = /^--([a-z-]+):/.exec(line)?.[1] ?? '';
  const variable = variables.get(flag);
  return oneLine(variable === undefined ? line : `${line} (from ${variable})`);
}

function parseFlag(
  flag: ServeFlagName,
  text: string,
  variables: ReadonlyMap<string, string>,
): unknown {
  try {
    if (text === '') throw new Error('is empty; give it a value or leave it out');
    return SERVE_FLAGS[flag].parse(text);
  } catch (error) {
    const line = withSource(`--${flag}: ${reasonOf(error)}`, variables);
    throw new CliError(EXIT.usage, line, { cause: error });
  }
}

function checkVariables(environment: Readonly<Record<string, string | undefined>>): string[] {
  const warnings: string[] = [];
  for (const flag of etcdFlagNames()) {
    const variable = variableOf(flag, 'ETCD');
    if ((environment[variable] ?? '') === '') continue;
    if (verdictOnEtcdFlag(flag) === 'refused') throw usageError(refusal(variable));
    warnings.push(`${variable} has no meaning here and is ignored; unset it`);
  }
  const settings = FLAG_NAMES.map((flag) => variableOf(flag, 'QUORATE'));
  const known: readonly string[] = [...settings, ...OTHER_VARIABLES];
  for (const variable of Object.keys(environment)) {
    if (!variable.startsWith('QUORATE_') || known.includes(variable)) continue;
    const meant = suggest(variable, settings);
    if (meant !== null)
      warnings.push(`${variable} is not known and ignored (did you mean ${meant}?)`);
  }
  return warnings;
}

/** What to do instead, for some of the flags that are refused. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  [
    'peer-auto-tls',
    'members that believe any certificate would believe anybody: give --peer-cert-file, ' +
      '--peer-key-file and --peer-trusted-ca-file',
  ],
  [
    'experimental-peer-skip-client-san-verification',
    'its name is --peer-skip-client-san-verification',
  ],
]);

/** The line for something of etcd's that changes too much to be left out silently. */
export function refusal(setting: string): string {
  const advice = ADVICE.get(
    setting
      .replace(/^--|^ETCD_/, '')
      .replaceAll('_', '-')
      .toLowerCase(),
  );
  const said = advice ?? 'remove it, or provide for what it does';
  return `${setting} is etcd's and not supported here: ${said}`;
}
