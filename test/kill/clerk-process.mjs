// A clerk in a process of its own, which may be killed at any moment (see remote-clerk.ts).
// argv: compiled client module, endpoints, name of the session. Talks over the IPC channel:
//   ← { operation, id, seq } runs; → { id, result, revision, seq }, or { id, error, outcome }
//   ← { resolve: seq, id }   asks;     → { id, state, result, revision }
// It begins with → { opened: { lastSeq, resumed } }, and ends when its parent is gone.
import { perform, resolve } from './perform.mjs';

const [, , module, endpoints, session] = process.argv;
const { Clerk } = await import(module);

// Longer than any fault of the campaigns lasts: a command that is given up is a failure.
const PATIENCE_MS = 120_000;

process.on('disconnect', () => process.exit(0));
const clerk = await Clerk.connect({ endpoints, session, requestTimeoutMs: PATIENCE_MS });
const { lastSeq, resumed } = clerk.session;

process.on('message', (request) => {
  const { id } = request;
  answerTo(request).then(
    (answer) => tell({ id, ...answer }),
    (error) => tell({ id, error: String(error), outcome: error?.outcome ?? 'unknown' }),
  );
});
tell({ opened: { lastSeq, resumed } });

function answerTo({ operation, seq, resolve: inDoubt }) {
  if (inDoubt !== undefined) return resolve(clerk, inDoubt);
  return perform(clerk, operation, seq === null ? {} : { seq });
}

/** A parent that is gone needs no answer: 'disconnect' ends this process. */
function tell(message) {
  process.send(message, undefined, undefined, () => {});
}
