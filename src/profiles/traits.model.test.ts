import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareCanonical } from '../events/event.model.js';
import { applyTraits, MAX_TRAITS_PER_ANCHOR, mergeTraits } from './traits.model.js';
import type { Trait, Traits } from './trait.model.js';
import { decodeTraits, encodeTraits } from './trait-codec.js';

const key = (occurredAt: number, messageId = 'm') => ({ occurredAt, sourceId: 1, messageId });

describe('traits', () => {
  it('keep the most recent value, whatever order the values arrive in', () => {
    const traits: Traits = new Map();
    applyTraits(traits, { plan: 'pro' }, key(20));
    expect(applyTraits(traits, { plan: 'free' }, key(10))).toMatchObject({ changed: [], dropped: 0 });
    expect(traits.get('plan')?.value).toBe('pro');
  });

  it('report just the names whose value changed', () => {
    const traits: Traits = new Map();
    applyTraits(traits, { plan: 'pro' }, key(20));
    expect(applyTraits(traits, { plan: 'free', city: 'Leeds' }, key(10)).changed).toEqual(['city']);
  });

  it('treat null as a value that is known to be empty', () => {
    const traits: Traits = new Map();
    applyTraits(traits, { phone: '+441' }, key(1));
    applyTraits(traits, { phone: null }, key(2));
    expect(traits.get('phone')?.value).toBeNull();
  });

  const named = (i: number): string => `t${String(i).padStart(4, '0')}`;

  it('hold a bounded number of names, and say how many were left out', () => {
    const traits: Traits = new Map();
    for (let i = 0; i < MAX_TRAITS_PER_ANCHOR; i++) applyTraits(traits, { [named(i)]: i }, key(i));
    expect(applyTraits(traits, { [named(9998)]: 1, [named(9999)]: 1 }, key(1_000))).toMatchObject({
      changed: [],
      dropped: 2,
    });
    expect(applyTraits(traits, { [named(0)]: 'newer' }, key(1_000))).toMatchObject({ changed: [named(0)], dropped: 0 });
    const last = named(MAX_TRAITS_PER_ANCHOR - 1);
    expect(applyTraits(traits, { first: 1 }, key(1_000))).toMatchObject({ changed: ['first', last], dropped: 1 });
    expect([traits.size, traits.has(last), traits.has('first')]).toEqual([MAX_TRAITS_PER_ANCHOR, false, true]);
  });

  it('never give way to others where their names are reserved', () => {
    const traits: Traits = new Map();
    for (let i = 0; i < MAX_TRAITS_PER_ANCHOR; i++) applyTraits(traits, { [`!${String(i)}`]: i }, key(i));
    applyTraits(traits, { '$consent.ads': true }, key(1));
    expect(traits.get('$consent.ads')?.value).toBe(true);
    expect(traits.size).toBe(MAX_TRAITS_PER_ANCHOR);
  });

  it('are the same beyond the bound too, in whatever order the names come', () => {
    const count = MAX_TRAITS_PER_ANCHOR + 20;
    const facts = Array.from({ length: 2 * count }, (_, i) => ({ name: named(i % count), at: i }));
    const expected = encodeTraits(
      new Map(
        facts
          .slice(count, count + MAX_TRAITS_PER_ANCHOR)
          .map(({ name, at }) => [name, { value: at, ...key(at), held: null }]),
      ),
    );
    fc.assert(
      fc.property(fc.shuffledSubarray(facts, { minLength: facts.length }), (arriving) => {
        const traits: Traits = new Map();
        for (const { name, at } of arriving) applyTraits(traits, { [name]: at }, key(at));
        expect(encodeTraits(traits)).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  it('refuse packed bytes of an unknown format', () => {
    expect(() => decodeTraits(Buffer.from([9, 1, 2]))).toThrow(/unknown format 9/);
  });

  const fact = fc.record({
    anchor: fc.integer({ min: 0, max: 2 }),
    name: fc.constantFrom('a', 'b', '__proto__x', 'ü'),
    value: fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.boolean()),
    occurredAt: fc.integer({ min: 0, max: 5 }),
    messageId: fc.constantFrom('m1', 'm2', 'm3', 'm4'),
  });

  it('equal the greatest value by canonical key for any order, split over anchors and repacking', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fact, { selector: (f) => `${String(f.occurredAt)} ${f.messageId} ${f.name}`, maxLength: 30 }),
        fc.func(fc.boolean()),
        (facts, repack) => {
          const anchors: Traits[] = Array.from({ length: 3 }, () => new Map<string, Trait>());
          for (const f of facts) {
            const anchor = anchors[f.anchor] ?? new Map<string, Trait>();
            applyTraits(anchor, { [f.name]: f.value }, key(f.occurredAt, f.messageId));
            anchors[f.anchor] = repack(f) ? decodeTraits(encodeTraits(anchor)) : anchor;
          }
          const merged = mergeTraits(anchors);
          for (const name of new Set(facts.map((f) => f.name))) {
            const winner = facts
              .filter((f) => f.name === name)
              .sort((a, b) => compareCanonical(key(b.occurredAt, b.messageId), key(a.occurredAt, a.messageId)))[0];
            expect(merged.get(name)?.value).toEqual(winner?.value);
          }
          expect(encodeTraits(mergeTraits([...anchors].reverse()))).toEqual(encodeTraits(merged));
        },
      ),
    );
  });
});
