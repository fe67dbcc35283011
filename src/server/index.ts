/**
 * The composition root: one member of a cluster, put together from log, transport, replica, state
 * machine and door, on the machine's io or on another one.
 */

export type { AskLink, OpenAskLink } from './ask-terms.ts';
export { ExecuteSession } from './execute-session.ts';
export { Member, type MemberOptions } from './member.ts';
export { ConfigError, type InitialMember, SERVER_DEFAULTS, type ServerOptions } from './options.ts';
export { type OpenMemberOptions, openMember } from './rejoin.ts';
export {
  type Restored,
  type RestoredMember,
  type RestoreOptions,
  restoreMember,
} from './restore.ts';
export { type Server, startServer } from './server.ts';
export { checkDatabaseFile, type DatabaseSummary, isDatabaseFile } from './snapshot-database.ts';
export {
  checkSnapshotFile,
  SnapshotCheck,
  SnapshotError,
  type SnapshotFileOptions,
  type SnapshotSummary,
} from './snapshot-file.ts';
