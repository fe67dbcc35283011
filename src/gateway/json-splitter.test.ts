import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonSplitter } from './json-splitter.ts';

test('objects come out as they went in, wherever the bytes are cut', () => {
  const objects = fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 5 });
  fc.assert(
    fc.property(objects, fc.integer({ min: 1, max: 9 }), (values, size) => {
      const bytes = Buffer.from(values.map((value) => JSON.stringify(value)).join('\n '));
      const splitter = new JsonSplitter(10_000);
      const texts: string[] = [];
      for (let at = 0; at < bytes.length; at += size) {
        texts.push(...splitter.push(bytes.subarray(at, at + size)));
      }
      expect(texts.map((text) => JSON.parse(text))).toEqual(
        values.map((value) => JSON.parse(JSON.stringify(value))),
      );
      expect(splitter.rest()).toBe('');
    }),
  );
});

test('what is not complete at the end is the rest', () => {
  const splitter = new JsonSplitter(100);
  expect(splitter.push(Buffer.from('{"a":"}"} {"b":'))).toEqual(['{"a":"}"}']);
  expect(splitter.rest()).toBe('{"b":');
});

test('an object beyond the limit is refused before it is complete', () => {
  const splitter = new JsonSplitter(10);
  expect(splitter.push(Buffer.from('{"a":1234}'))).toHaveLength(1);
  expect(() => splitter.push(Buffer.from('{"a":12345'))).not.toThrow();
  expect(() => splitter.push(Buffer.from('}'))).toThrow('the request is too large');
});
