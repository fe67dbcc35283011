import { describe, expect, test } from 'vitest';
import { type Evidence, type Held, type Issued, judge, type Takeover } from './verify.ts';

/** A run in which everything holds: two clerks on one key, and puts of one of them. */
function goodRun(): { commands: Issued[]; held: Map<string, Held> } & Omit<
  Evidence,
  'commands' | 'held'
> {
  const commands: Issued[] = [];
  const revisions = { a: [1, 3, 5], b: [2, 4, 6] };
  for (const [clerk, taken] of Object.entries(revisions)) {
    taken.forEach((revision, at) => {
      const text = `<${clerk} ${at + 1}>`;
      const valueBytes = revision * text.length;
      commands.push(append({ clerk, seq: at + 1, text, answer: { revision, valueBytes } }));
    });
  }
  for (const seq of [4, 5, 6]) commands.push(put(seq, { revision: seq + 3, valueBytes: null }));
  return {
    commands,
    held: new Map([
      ['log', { text: '<a 1><b 1><a 2><b 2><a 3><b 3>', version: 6 }],
      ['puts', { text: 'p6', version: 3 }],
    ]),
    members: 3,
    replicas: ['m1', 'm2', 'm3'].map((member) => ({ member, appliedIndex: 9, stateHash: 'f0' })),
    faults: { kills: 5, freezes: 1, droppedReplyBytes: 100 },
    takeovers: [takeover()],
    anomalies: [],
  };
}

function append(fields: Pick<Issued, 'clerk' | 'seq' | 'text'> & Partial<Issued>): Issued {
  return { type: 'append', key: 'log', outcome: 'acknowledged', answer: null, ...fields };
}

function put(seq: number, answer: Issued['answer']): Issued {
  const outcome = answer === null ? 'unknown' : 'acknowledged';
  return { clerk: 'a', seq, type: 'put', key: 'puts', text: `p${seq}`, outcome, answer };
}

function takeover(fields: Partial<Takeover> = {}): Takeover {
  const counts = { inDoubt: 3, executed: 2, repeated: 1 };
  return { clerk: 'a', ...counts, refusal: 'SESSION_FENCED', ...fields };
}

function withLog(text: string): Evidence {
  const run = goodRun();
  run.held.set('log', { text, version: 6 });
  return run;
}

function withPuts(held: Held): Evidence {
  const run = goodRun();
  run.held.set('puts', held);
  return run;
}

test('a run in which everything holds has no failures', () => {
  expect(judge(goodRun())).toEqual({
    ...{ issued: 9, acknowledged: 9, missing: 0, repeated: 0, outOfOrder: 0 },
    failures: [],
  });
});

describe('the verdict is bad when', () => {
  test('an acknowledged append is lost', () => {
    const judgement = judge(withLog('<a 1><b 1><a 2><b 2><b 3>'));
    expect(judgement).toMatchObject({ missing: 1, repeated: 0, outOfOrder: 0 });
    expect(judgement.failures).toContain('log: lost: <a 3> of a was acknowledged');
  });

  test('an append stands there twice', () => {
    const judgement = judge(withLog('<a 1><b 1><a 2><b 2><a 3><b 3><a 2>'));
    expect(judgement).toMatchObject({ missing: 0, repeated: 1, outOfOrder: 0 });
    expect(judgement.failures).toEqual(['log: twice: <a 2> of a']);
  });

  test("appends stand in another order than their clerk's calls", () => {
    const judgement = judge(withLog('<a 2><b 1><a 1><b 2><a 3><b 3>'));
    expect(judgement).toMatchObject({ missing: 0, repeated: 0, outOfOrder: 1 });
    expect(judgement.failures).toContain('log: order: <a 2> of a stands too early');
  });

  test('a whole key is gone', () => {
    const run = goodRun();
    run.held.delete('log');
    expect(judge(run)).toMatchObject({ missing: 6 });
  });

  test('a refused append stands there', () => {
    const run = goodRun();
    run.commands.push(append({ clerk: 'a', seq: 0, text: '<late>', outcome: 'notApplied' }));
    run.held.set('log', { text: '<a 1><b 1><a 2><b 2><a 3><b 3><late>', version: 7 });
    expect(judge(run).failures).toEqual(['log: ghost: <late> of a was refused']);
  });

  test('a value holds what nobody wrote, or a key is there that nobody wrote to', () => {
    expect(judge(withLog('<a 1><b 1><a 2><b 2><a 3><b 3>?')).failures).toEqual([
      'log: phantom: 1 characters belong to no append',
    ]);
    const run = goodRun();
    run.held.set('other', { text: 'x', version: 1 });
    expect(judge(run).failures).toEqual(['phantom: nobody wrote to other']);
  });

  test('an answer told another length than the value had', () => {
    const judgement = judge(withLog('<b 1><a 1><a 2><b 2><a 3><b 3>'));
    expect(judgement.failures).toEqual([
      'answer: seq 1 of a was told a value of 5 bytes, but <a 1> ends at 10',
      'answer: seq 1 of b was told a value of 10 bytes, but <b 1> ends at 5',
    ]);
  });

  test('a put is lost, ran twice, or an earlier one stands', () => {
    expect(judge(withPuts({ text: 'p6', version: 2 }))).toMatchObject({ missing: 1 });
    expect(judge(withPuts({ text: 'p6', version: 5 }))).toMatchObject({ repeated: 2 });
    expect(judge(withPuts({ text: 'p5', version: 3 }))).toMatchObject({ outOfOrder: 1 });
    expect(judge(withPuts({ text: 'xy', version: 3 }))).toMatchObject({ missing: 1 });
  });

  test("a clerk's later command has an earlier revision", () => {
    const run = goodRun();
    run.commands.push(put(7, { revision: 2, valueBytes: null }));
    run.held.set('puts', { text: 'p7', version: 4 });
    expect(judge(run)).toMatchObject({
      outOfOrder: 1,
      failures: ['order: a: seq 7 in revision 2, seq 6 in 9'],
    });
  });

  test('replicas differ, stopped at different entries, or one is silent', () => {
    const [first, second, third] = goodRun().replicas as [ReplicaOf, ReplicaOf, ReplicaOf];
    const judgeOf = (replicas: ReplicaOf[]): readonly string[] =>
      judge({ ...goodRun(), replicas }).failures;
    expect(judgeOf([first, second, { ...third, stateHash: 'f1' }])).toEqual([
      'replicas differ: m1 f0 at 9, m2 f0 at 9, m3 f1 at 9',
    ]);
    expect(judgeOf([first, second, { ...third, appliedIndex: 8 }])).toHaveLength(1);
    expect(judgeOf([first, second])).toEqual(['replicas: only 2 of 3 told their state']);
  });

  test('too little went wrong to prove anything', () => {
    const faults = { kills: 4, freezes: 0, droppedReplyBytes: 0 };
    expect(judge({ ...goodRun(), faults, takeovers: [] }).failures).toEqual([
      'faults: 4 of 5 leaders were killed',
      'faults: no member was frozen',
      'faults: no reply was dropped',
      'faults: no clerk was replaced',
    ]);
  });

  test('the dropped clerk was not refused, or had nothing in doubt', () => {
    const takeovers = [takeover({ refusal: null }), takeover({ inDoubt: 0 })];
    expect(judge({ ...goodRun(), takeovers }).failures).toEqual([
      'fence: the dropped a was not refused',
      'faults: a was dropped with nothing in doubt',
    ]);
  });

  test('a command ended in doubt, none was acknowledged, or the run met an anomaly', () => {
    const doubtful = goodRun();
    doubtful.commands.push(put(7, null));
    expect(judge(doubtful).failures).toEqual(['1 commands ended without a certain outcome']);
    expect(judge({ ...goodRun(), commands: [], held: new Map() }).failures).toEqual([
      'no command was acknowledged',
    ]);
    expect(judge({ ...goodRun(), anomalies: ['it burnt'] }).failures).toEqual(['it burnt']);
  });
});

type ReplicaOf = Evidence['replicas'][number];
