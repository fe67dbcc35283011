/**
 * Young objects that V8 keeps apart, megabytes: three such spaces at most. The default of 16 is
 * full some fifty times a second on a busy leader, and what its thousand open calls need is copied
 * each time. It can be set only when a process starts (docs/CLI.md, `serve`).
 */
const SEMI_SPACE_MIB = 64;

/** How a busy member is best started; the command's own flags follow. `main`: the CLI's file. */
export function memberCommand(main: string): string[] {
  return [process.execPath, `--max-semi-space-size=${SEMI_SPACE_MIB}`, main, 'serve'];
}
