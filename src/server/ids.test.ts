import { describe, expect, test } from 'vitest';
import { initialIds } from './ids.ts';

const LOCAL = [{ name: 'default', peerUrls: ['http://localhost:2380'] }];

describe('ids', () => {
  test('are those that etcd gives to its default cluster', () => {
    const { clusterId, members } = initialIds(LOCAL, 'etcd-cluster');
    expect(members.get('default')).toBe(0x8e9e_05c5_2164_694dn);
    expect(clusterId).toBe(0xcdf8_1819_4e3a_8c32n);
  });

  test('hang on all URLs of a member in any order, and on the token, not on its name', () => {
    const ids = (urls: string[], token = 't') =>
      initialIds([{ name: 'a', peerUrls: urls }], token).members.get('a');
    expect(ids(['http://a:1', 'http://b:1'])).toBe(ids(['http://b:1', 'http://a:1']));
    expect(ids(['http://a:1'])).not.toBe(ids(['http://a:2']));
    expect(ids(['http://a:1'])).not.toBe(ids(['http://a:1'], 'u'));
    const [renamed] = initialIds([{ name: 'b', peerUrls: ['http://a:1'] }], 't').members;
    expect(renamed).toEqual(['b', ids(['http://a:1'])]);
  });
});
