import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CanonicalKey, JsonValue } from '../events/event.model.js';
import { NO_SECRET, RootSecret } from '../platform/installation-secret.js';
import { OutlivedTraits } from './outlived-traits.js';
import { encodeTraits } from './trait-codec.js';
import { compileTraitRules, DEFAULT_TRAIT_RULE, type Survivorship, type TraitRules } from './trait-rule.model.js';
import { maskSealed, sealedTypeOf, TraitSealer } from './trait-seal.model.js';
import { applyTraits, mergeTraits, openTrait, resealTraits } from './traits.model.js';
import type { Traits } from './trait.model.js';
import type { TraitType } from './trait-type.model.js';

const sealer = new TraitSealer(new RootSecret(Buffer.from('the secret of a test, of thirty-two characters')));
const other = new TraitSealer(new RootSecret(Buffer.from('the secret of another, of thirty-two characters')));
const values = fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<JsonValue>;
const valued = values.filter((value) => value !== null);

describe('a sealed value', () => {
  it('is opened as what it was, and equal to those that are sealed of the same', () => {
    fc.assert(
      fc.property(valued, valued, (a, b) => {
        const [x, y] = [sealer.seal('passport', a), sealer.seal('passport', b)];
        expect(JSON.stringify(sealer.open('passport', x))).toBe(JSON.stringify(a));
        expect(x === y).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
    );
  });

  it('tells its type and no more, and is masked by that', () => {
    const masks = ['Anna', 4, true, ['a', 'b', 'c'], { a: 1 }].map((value) => {
      const type = sealedTypeOf(sealer.seal('passport', value));
      return [type, type === null ? null : maskSealed(type)];
    });
    expect(masks).toEqual([
      ['string', '***'],
      ['number', null],
      ['boolean', null],
      ['list', ['***']],
      ['object', {}],
    ]);
    expect(sealer.seal('passport', 'a')).toHaveLength((sealer.seal('passport', 'abcdefghijklmn') as string).length);
  });

  it('is not opened as one of another trait, by another secret, or changed', () => {
    fc.assert(
      fc.property(valued, fc.nat(), (value, at) => {
        const sealed = sealer.seal('passport', value) as string;
        expect(sealer.open('licence', sealed)).toBe(sealed);
        expect(other.open('passport', sealed)).toBe(sealed);
        const place = '$sealed:1s:'.length + (at % 20);
        const letter = sealed[place] === 'A' ? 'B' : 'A';
        const changed = `${sealed.slice(0, place)}${letter}${sealed.slice(place + 1)}`;
        expect(sealer.open('passport', changed)).toBe(changed);
      }),
    );
  });

  it('has another form in another trait', () => {
    expect(sealer.seal('passport', 'X1')).not.toBe(sealer.seal('licence', 'X1'));
    expect(sealer.searchKey('passport', Buffer.of(1))).not.toEqual(sealer.searchKey('licence', Buffer.of(1)));
  });

  it('is null where nothing is known, and a text that looks sealed is sealed like any other', () => {
    expect(sealer.seal('passport', null)).toBeNull();
    const forged = '$sealed:1s:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
    expect(sealer.open('passport', forged)).toBe(forged);
    expect(sealer.open('passport', sealer.seal('passport', forged))).toBe(forged);
    const replayed = sealer.seal('passport', 'X1');
    expect(sealer.open('passport', sealer.seal('passport', replayed))).toBe(replayed);
  });

  it('cannot be made or opened without a secret, which is said', () => {
    const without = new TraitSealer(NO_SECRET);
    expect(() => without.seal('passport', 'X1')).toThrow('needs the secret of the installation');
    expect(() => without.open('passport', sealer.seal('passport', 'X1'))).toThrow('needs the secret');
    expect(without.open('passport', 'X1')).toBe('X1');
  });
});

const SOURCES = new Map([
  ['web', 1],
  ['crm', 2],
]);

function rulesOf(survivorship: Survivorship, isSealed: boolean, type: TraitType | null = null): TraitRules {
  const sourcePriority = survivorship === 'source_priority' ? ['crm', 'web'] : [];
  const rule = { ...DEFAULT_TRAIT_RULE, survivorship, sourcePriority, type, onConflict: 'coerce' } as const;
  const sealed = isSealed ? { names: new Set(['x']), sealFor: sealer.for } : null;
  return compileTraitRules([['x', rule]], SOURCES, new Map(), null, sealed);
}

interface Given {
  readonly anchor: number;
  readonly value: JsonValue;
  readonly occurredAt: number;
  readonly sourceId: number;
  readonly provenance: number;
}

const few = fc.constantFrom<JsonValue>('a', 'b', 'c', 1, 2, true, null);
const givens = fc.array(
  fc.record({
    anchor: fc.nat(2),
    value: fc.oneof(
      few,
      few.map((item) => [item]),
    ),
    occurredAt: fc.integer({ min: 1, max: 40 }),
    sourceId: fc.integer({ min: 1, max: 3 }),
    provenance: fc.nat(2),
  }),
  { maxLength: 100 },
);

const keyOf = ({ occurredAt, sourceId }: Given, i: number): CanonicalKey => ({
  occurredAt,
  sourceId,
  messageId: `m${String(i)}`,
});

/** @param from those before are not there any more */
function fold(given: readonly Given[], rulesAt: (index: number) => TraitRules, from = 0): Traits[] {
  const anchors = [0, 1, 2].map((): Traits => new Map());
  given.forEach((each, i) => {
    if (i < from) return;
    const { anchor, value, provenance } = each;
    applyTraits(anchors[anchor] as Traits, { x: value }, keyOf(each, i), rulesAt(i), provenance);
  });
  return anchors;
}

const opened = (traits: Traits): unknown[] =>
  [...traits].map(([name, trait]) => {
    const { value, occurredAt, sourceId, messageId } = openTrait(trait, sealer.for(name));
    return { value, occurredAt, sourceId, messageId, isApproximate: trait.held?.overflow ?? false };
  });

const survivorships = fc.constantFrom<Survivorship>('most_recent', 'source_priority', 'most_frequent', 'union');

describe('traits whose values are sealed', () => {
  it('fold and merge to what they would be in plain text', () => {
    fc.assert(
      fc.property(givens, survivorships, (given, survivorship) => {
        const [sealed, plain] = [rulesOf(survivorship, true), rulesOf(survivorship, false)];
        const anchors = fold(given, () => sealed);
        expect(opened(mergeTraits(anchors))).toEqual(opened(mergeTraits(fold(given, () => plain))));
        const stored = anchors.map((traits) => encodeTraits(traits).toString()).join();
        for (const text of ['"a"', '"b"', '"c"']) expect(stored).not.toContain(text);
      }),
      { numRuns: 300 },
    );
  });

  it('are the same bytes whether they were sealed from the start, in the middle, or opened again', () => {
    fc.assert(
      fc.property(givens, survivorships, fc.nat(100), (given, survivorship, at) => {
        const [sealed, plain] = [rulesOf(survivorship, true), rulesOf(survivorship, false)];
        const bytes = (anchors: readonly Traits[]) => anchors.map((traits) => encodeTraits(traits).toString());
        const changed = fold(given, (i) => (i < at ? plain : sealed));
        for (const traits of changed) resealTraits(traits, ['x'], sealed, sealer.for);
        expect(bytes(changed)).toEqual(bytes(fold(given, () => sealed)));
        for (const traits of changed) resealTraits(traits, ['x'], plain, sealer.for);
        expect(bytes(changed)).toEqual(bytes(fold(given, () => plain)));
      }),
      { numRuns: 300 },
    );
  });

  it('outlive their events as the same values, whether they were or become sealed', () => {
    const typed = fc.constantFrom<TraitType | null>(null, 'number', 'string', 'list');
    const forms = fc.constantFrom([true, true], [true, false], [false, true]);
    fc.assert(
      fc.property(givens, survivorships, typed, forms, fc.nat(100), (given, survivorship, type, [was, is], gone) => {
        const values = (before: boolean, after: boolean) => {
          const rules = rulesOf(survivorship, after, type);
          const standing = fold(given, () => rulesOf(survivorship, before));
          const anew = fold(given, () => rules, gone);
          for (const [i, traits] of anew.entries()) {
            const outlived = new OutlivedTraits(standing[i] as Traits);
            given.forEach((each, at) => {
              if (at >= gone && each.anchor === i) outlived.note(keyOf(each, at));
            });
            outlived.keepIn(traits, null, rules, { names: before === after ? [] : ['x'], sealFor: sealer.for });
            if (before !== after) resealTraits(traits, ['x'], rules, sealer.for);
          }
          return anew.map(opened);
        };
        expect(values(was, is)).toEqual(values(false, false));
      }),
      { numRuns: 300 },
    );
  });
});
