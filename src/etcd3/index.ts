/**
 * Exactly-once writes for the npm client `etcd3`, which retries writes blindly: after a lost answer
 * it sends them again, and they happen twice.
 *
 *   const etcd = await withExactlyOnce(new Etcd3({ hosts }), { session: 'orders' });
 *   await etcd.put('order/17').value('paid');      // once, however often it had to be sent
 *
 * Everything else of the client stays as it is: namespaces, locks, leases, watches. The protocol is
 * in docs/SESSIONS.md.
 *
 *   exactly-once.ts   gives each write its place, and repeats it until its end is certain
 *   numbers.ts        the places of one session; slots.ts bounds how many are given out at a time
 *   scoped-call.ts    one call of etcd3 with metadata, and how its attempts ended
 */
export { type ExactlyOnceOptions, withExactlyOnce } from './exactly-once.ts';
export { ExactlyOnceError } from './exactly-once-error.ts';
