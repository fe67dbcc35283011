#!/usr/bin/env node
/**
 * The `quorate` command: one file per subcommand, all thin. `program.ts` lists them and turns every
 * failure into one line and an exit code (`exit.ts`); `host.ts` is the process as a command sees
 * it; `cluster/` starts and torments member processes.
 */
import { processHost } from './host.ts';
import { run } from './program.ts';

process.exit(await run(process.argv.slice(2), processHost()));
