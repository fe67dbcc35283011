import { expect, test } from 'vitest';
import { boundedLookup, type LookupDone } from './bounded-lookup.ts';

test('no more lookups than allowed are under way; the others follow in order', () => {
  const asked: { name: string; done: LookupDone }[] = [];
  const lookup = boundedLookup(2, (name, _options, done) => asked.push({ name, done }));
  const answers: string[] = [];
  for (const name of ['a', 'b', 'c', 'd']) {
    lookup(name, {}, (error, address) => answers.push(error?.message ?? String(address)));
  }
  expect(asked.map(({ name }) => name)).toEqual(['a', 'b']);
  asked[1]?.done(null, '127.0.0.2', 4);
  expect(asked.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
  asked[0]?.done(new Error('no such host'), '');
  asked[2]?.done(null, '127.0.0.3', 4);
  asked[3]?.done(null, '127.0.0.4', 4);
  expect(answers).toEqual(['127.0.0.2', 'no such host', '127.0.0.3', '127.0.0.4']);
});
