import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLinkageModel, writeLinkageModel } from '../linkage/read-linkage-model.js';
import { withKeyedTerms } from '../linkage/term-frequencies.js';
import { TermKeying } from './term-keying.js';

const settings = {
  format: 'weft-linkage-1',
  comparisons: [{ name: 'name', levels: [{ when: 'name_l = name_r' }, { when: 'ELSE' }] }],
  blocking: ['l.name = r.name'],
};
const keysOf = (column: string) => (value: string) => Buffer.from(`${column} ${value}`).toString('base64url');

/** A word, a number, as years are, or what an object has by itself. */
const value = fc.oneof(fc.string(), fc.nat(3_000).map(String), fc.constantFrom('__proto__', 'constructor'));
const frequencies = fc.array(fc.tuple(value, fc.integer({ min: 1, max: 9 })), { maxLength: 12 }).map((counts) => ({
  total: 100,
  counts: Object.fromEntries(counts),
}));

function keyed(content: string, limit: number): { content: string; steps: number } {
  const keying = new TermKeying(content, keysOf);
  for (let steps = 1; ; steps++) {
    const done = keying.step(limit);
    if (done !== null) return { content: done, steps };
  }
}

describe('the keying of a stored model', () => {
  it('is that of the model as a whole, however little is done at a time', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), frequencies, { maxKeys: 3 }),
        fc.integer({ min: 1, max: 5 }),
        (termFrequencies, limit) => {
          const model = readLinkageModel(JSON.stringify({ ...settings, termFrequencies }), 'model');
          const { content } = keyed(writeLinkageModel(model), limit);
          expect(content).toBe(writeLinkageModel(withKeyedTerms(model, keysOf)));
        },
      ),
      { numRuns: 50 },
    );
  });

  it('is done value by value, in an order that tells nothing of the values', () => {
    const counts = { bob: 2, anna: 3, zoe: 4 };
    const model = readLinkageModel(
      JSON.stringify({ ...settings, termFrequencies: { name: { total: 9, counts } } }),
      'model',
    );
    const { content, steps } = keyed(writeLinkageModel(model), 1);
    expect(steps).toBeGreaterThan(Object.keys(counts).length);
    for (const name of Object.keys(counts)) expect(content).not.toContain(name);
    const read = readLinkageModel(content, 'model', keysOf).termFrequencies.get('name')?.counts ?? new Map();
    expect([...read.keys()]).toEqual([...read.keys()].sort());
    expect([...read.values()].sort()).toEqual([2, 3, 4]);
  });

  it('refuses hashes: they would be hashed again', () => {
    const frequencies = new Map([['name', { total: 9, counts: new Map([['abc', 2]]), keyOf: keysOf('name') }]]);
    const model = { ...readLinkageModel(JSON.stringify(settings), 'model'), termFrequencies: frequencies };
    expect(() => keyed(writeLinkageModel(model), 1)).toThrow('not there any more');
  });
});
