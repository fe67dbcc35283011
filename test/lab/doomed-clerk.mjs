// A client process that is going to be killed between a send and its reply (see sessions.test.ts).
// argv: compiled client module, endpoints, session name. Each line on stdin is a token to append;
// "opened" and "answered TOKEN" are said on stdout.
import { createInterface } from 'node:readline';

const [, , module, endpoints, session] = process.argv;
const { Clerk } = await import(module);
const clerk = await Clerk.connect({
  endpoints,
  session,
  requestTimeoutMs: 60_000,
  discover: false,
});
console.log('opened');
for await (const token of createInterface({ input: process.stdin })) {
  await clerk.append('ledger', token);
  console.log(`answered ${token}`);
}
