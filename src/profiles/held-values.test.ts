import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareCanonical, type JsonValue } from '../events/event.model.js';
import { MAX_FREQUENT, MAX_UNION } from './held-values.js';
import { decodeTraits, encodeTraits } from './trait-codec.js';
import {
  compileTraitRules,
  DEFAULT_TRAIT_RULE,
  PROVENANCES,
  SURVIVORSHIPS,
  type Provenance,
  type TraitRule,
  type TraitRules,
} from './trait-rule.model.js';
import { DELETE_TRAITS, foldTraits, mergeTraits, provenanceOfTrait, type TraitEvent } from './traits.model.js';
import type { Trait, Traits } from './trait.model.js';

const SOURCES = new Map([
  ['web', 1],
  ['crm', 2],
  ['shop', 3],
]);

function rulesOf(rule: Partial<TraitRule>): TraitRules {
  return compileTraitRules([['x', { ...DEFAULT_TRAIT_RULE, ...rule }]], SOURCES);
}

interface Given {
  readonly anchor: number;
  readonly value: JsonValue;
  readonly occurredAt: number;
  readonly sourceId: number;
  readonly messageId: string;
  readonly provenance: Provenance;
}

function eventOf(given: Omit<Given, 'anchor'>, acceptedAt = given.occurredAt): TraitEvent {
  const { value, occurredAt, sourceId, messageId, provenance } = given;
  return {
    type: 'identify',
    name: 'identify',
    traits: { x: value },
    properties: {},
    context: provenance === 'observed' ? {} : { provenance },
    groupId: null,
    occurredAt,
    acceptedAt,
    sourceId,
    messageId,
  };
}

function deletion(acceptedAt: number): TraitEvent {
  return {
    ...eventOf({ value: null, occurredAt: acceptedAt, sourceId: 9, messageId: 'd', provenance: 'observed' }),
    traits: { [DELETE_TRAITS]: ['x'] },
  };
}

function give(values: readonly JsonValue[], rule: Partial<TraitRule>, own: Partial<Given> = {}): Trait | undefined {
  const traits: Traits = new Map();
  for (const [i, value] of values.entries()) {
    const given = { value, occurredAt: i + 1, sourceId: 1, messageId: String(i), provenance: 'observed', ...own };
    foldTraits(traits, eventOf(given as Given), rulesOf(rule));
  }
  return traits.get('x');
}

describe('the value of a trait', () => {
  it.each<[string, Partial<TraitRule>, JsonValue[], JsonValue]>([
    ['the newest', {}, [1, 2, null, 3], 3],
    ['the one that was given most often', { survivorship: 'most_frequent' }, ['b', 'a', 'a', 'b', 'a', 'c'], 'a'],
    ['the newer of two that were given as often', { survivorship: 'most_frequent' }, ['a', 'b', 'a', 'b'], 'b'],
    ['the longest text', { survivorship: 'longest' }, ['Ann', 'Annabel Lee', 'A. Lee', null], 'Annabel Lee'],
    ['the least number', { survivorship: 'min' }, [5, 2, 'text', null, 9], 2],
    ['the greatest number', { survivorship: 'max' }, [5, 12, 'text', null, 9], 12],
    ['the last text in its order', { survivorship: 'max' }, ['2026-01-01', '2026-03-01', '2026-02-01'], '2026-03-01'],
    ['all items of lists', { survivorship: 'union' }, [['a', 'b'], 'c', null, ['b'], []], ['a', 'c', 'b']],
    ['nothing where only null was given', { survivorship: 'max' }, [null, null], null],
  ])('is %s by its rule', (_what, rule, values, expected) => {
    expect(give(values, rule)?.value).toEqual(expected);
  });

  it('is that of the source that is believed most, and of the next where that one has none', () => {
    const rules = rulesOf({ survivorship: 'source_priority', sourcePriority: ['crm', 'shop'] });
    const traits: Traits = new Map();
    const from = (sourceId: number, value: JsonValue, occurredAt: number) => {
      foldTraits(traits, eventOf({ value, occurredAt, sourceId, messageId: 'm', provenance: 'observed' }), rules);
      return traits.get('x')?.value;
    };
    expect(from(1, 'of the web', 5)).toBe('of the web');
    expect(from(2, 'of the CRM', 1)).toBe('of the CRM');
    expect(from(3, 'of the shop', 9)).toBe('of the CRM');
    expect(from(2, null, 10)).toBe('of the shop');
  });

  it('is a declared one before what was only observed, unless time alone decides', () => {
    const declared = {
      ...eventOf({ value: 'said', occurredAt: 1, sourceId: 1, messageId: 'a', provenance: 'declared' }),
    };
    const seen = eventOf({ value: 'seen', occurredAt: 2, sourceId: 1, messageId: 'b', provenance: 'observed' });
    for (const [rule, expected] of [
      [{}, ['said', 'declared']],
      [{ precedence: 'time' }, ['seen', 'observed']],
    ] as const) {
      for (const order of [
        [declared, seen],
        [seen, declared],
      ]) {
        const traits: Traits = new Map();
        for (const event of order) foldTraits(traits, event, rulesOf(rule));
        const trait = traits.get('x');
        expect([trait?.value, trait === undefined ? null : provenanceOfTrait(trait)]).toEqual(expected);
      }
    }
  });

  it('says so where more values count than are held', () => {
    const many = Array.from({ length: MAX_UNION + 1 }, (_, i) => i);
    expect(give([many.slice(1)], { survivorship: 'union' })?.held?.overflow).toBe(false);
    const full = give([many], { survivorship: 'union' });
    expect([full?.held?.overflow, (full?.value as JsonValue[]).length]).toEqual([true, MAX_UNION]);
    const frequent = give(many.slice(0, MAX_FREQUENT + 1), { survivorship: 'most_frequent' });
    expect([frequent?.held?.overflow, frequent?.held?.kept.length]).toEqual([true, MAX_FREQUENT]);
  });

  it('counts answers to what a rule asks as declared', () => {
    const answers = [{ event: 'Survey Answered', property: 'answer', where: { question: 'size' } }];
    const rules = compileTraitRules([['size', { ...DEFAULT_TRAIT_RULE, answers }]], SOURCES);
    const traits: Traits = new Map();
    const answered = (question: string, answer: string): TraitEvent => ({
      ...eventOf({ value: 0, occurredAt: 1, sourceId: 1, messageId: question, provenance: 'observed' }),
      type: 'track',
      name: 'Survey Answered',
      traits: {},
      properties: { question, answer },
    });
    expect(foldTraits(traits, answered('colour', 'red'), rules).changed).toEqual([]);
    expect(foldTraits(traits, answered('size', 'L'), rules).changed).toEqual(['size']);
    const size = traits.get('size');
    expect([size?.value, size && provenanceOfTrait(size)]).toEqual(['L', 'declared']);
  });

  it('brings in no names by an answer to a trait that is called as the prototype of objects', () => {
    const answers = [{ event: 'Survey Answered', property: 'answer', where: {} }];
    const rules = compileTraitRules([['__proto__', { ...DEFAULT_TRAIT_RULE, answers }]], SOURCES);
    const traits: Traits = new Map();
    const event: TraitEvent = {
      ...eventOf({ value: 0, occurredAt: 1, sourceId: 1, messageId: 'm', provenance: 'observed' }),
      type: 'track',
      name: 'Survey Answered',
      traits: {},
      properties: { answer: { '$consent.ads': { status: 'granted' } } },
    };
    foldTraits(traits, event, rules);
    expect([...traits.keys()]).toEqual(['__proto__']);
  });

  it('of another type than declared is kept, coerced or refused, and counted', () => {
    const conflictsOf = (onConflict: TraitRule['onConflict'], value: JsonValue) => {
      const traits: Traits = new Map();
      const event = eventOf({ value, occurredAt: 1, sourceId: 1, messageId: 'm', provenance: 'observed' });
      const { conflicts } = foldTraits(traits, event, rulesOf({ type: 'number', onConflict }));
      return [conflicts.map(({ outcome }) => outcome), traits.get('x')?.value];
    };
    expect(conflictsOf('keep', '12')).toEqual([['kept'], '12']);
    expect(conflictsOf('coerce', '12')).toEqual([['coerced'], 12]);
    expect(conflictsOf('coerce', 'twelve')).toEqual([['refused'], undefined]);
    expect(conflictsOf('refuse', '12')).toEqual([['refused'], undefined]);
    expect(conflictsOf('refuse', 12)).toEqual([[], 12]);
    expect(conflictsOf('refuse', null)).toEqual([[], null]);
  });
});

// --- against brute force ----------------------------------------------------------------------------------------------

const aGiven = fc.record<Given>({
  anchor: fc.integer({ min: 0, max: 2 }),
  value: fc.oneof(
    fc.constantFrom<JsonValue>('a', 'bb', 'ccc', null, true),
    fc.integer({ min: -2, max: 3 }),
    fc.array(fc.constantFrom<JsonValue>('a', 'b', 1, null), { maxLength: 3 }),
  ),
  occurredAt: fc.integer({ min: 1, max: 12 }),
  sourceId: fc.integer({ min: 1, max: 4 }),
  messageId: fc.constantFrom('m1', 'm2', 'm3'),
  provenance: fc.constantFrom(...PROVENANCES),
});
const aRule = fc.record({
  survivorship: fc.constantFrom(...SURVIVORSHIPS),
  sourcePriority: fc.constant(['crm', 'web']),
  precedence: fc.constantFrom('provenance' as const, 'time' as const),
});

/** What is to be shown, told from all that was given. */
function bruteForce(
  given: readonly Given[],
  rule: Pick<TraitRule, 'survivorship' | 'precedence'>,
): JsonValue | undefined {
  if (given.length === 0) return undefined;
  const classes = given.map(({ provenance }) => PROVENANCES.indexOf(provenance));
  const best = Math.max(...classes);
  const inOrder = given.filter((_, i) => rule.precedence === 'time' || classes[i] === best).sort(compareCanonical);
  const valued = inOrder.filter(({ value }) => value !== null);
  const values = valued.map(({ value }) => value);
  const newest = (some: readonly JsonValue[]): JsonValue => some.at(-1) ?? null;
  const kind = (value: JsonValue) => (typeof value === 'number' ? 0 : typeof value === 'string' ? 1 : 2);
  const text = (value: JsonValue) => (typeof value === 'string' ? value : JSON.stringify(value));
  const ranked = (sign: 1 | -1) => {
    const least = Math.min(...values.map(kind));
    const same = values.filter((value) => kind(value) === least);
    const sorted = same.sort(
      (a, b) =>
        sign * (least === 0 ? (a as number) - (b as number) : text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0),
    );
    return sorted[0] ?? null;
  };
  switch (rule.survivorship) {
    case 'most_recent':
      return newest(inOrder.map(({ value }) => value));
    case 'source_priority': {
      for (const sources of [[2], [1], [3, 4]]) {
        const last = inOrder.filter(({ sourceId }) => sources.includes(sourceId)).at(-1);
        if (last !== undefined && last.value !== null) return last.value;
      }
      return null;
    }
    case 'most_frequent': {
      const counts = values.map(
        (value) => values.filter((each) => JSON.stringify(each) === JSON.stringify(value)).length,
      );
      return newest(values.filter((_, i) => counts[i] === Math.max(...counts)));
    }
    case 'longest': {
      const lengths = values.map((value) => (typeof value === 'string' || Array.isArray(value) ? value.length : -1));
      return newest(values.filter((_, i) => lengths[i] === Math.max(...lengths)));
    }
    case 'min':
      return ranked(1);
    case 'max':
      return ranked(-1);
    case 'union': {
      const last = new Map<string, { value: JsonValue; at: number }>();
      for (const [at, { value }] of inOrder.entries()) {
        for (const item of Array.isArray(value) ? value : [value]) {
          if (item !== null) last.set(JSON.stringify(item), { value: item, at });
        }
      }
      return [...last].sort(([x, a], [y, b]) => a.at - b.at || (x < y ? -1 : 1)).map(([, { value }]) => value);
    }
  }
}

describe('values by any rule', () => {
  const keyOf = ({ occurredAt, sourceId, messageId }: Given) =>
    `${String(occurredAt)} ${String(sourceId)} ${messageId}`;
  const history = fc.uniqueArray(aGiven, { selector: keyOf, maxLength: 25 });

  it('are those that brute force tells, in any order, split over anchors, repacked and merged in any way', () => {
    fc.assert(
      fc.property(history, aRule, fc.infiniteStream(fc.boolean()), fc.nat(), (given, own, repack, seed) => {
        const rules = rulesOf(own);
        const anchors = Array.from({ length: 3 }, (): Traits => new Map<string, Trait>());
        const shuffled = [...given].sort((a, b) => hash(keyOf(a), seed) - hash(keyOf(b), seed));
        for (const each of [...shuffled, ...shuffled.slice(0, 3)]) {
          const traits = anchors[each.anchor] ?? new Map<string, Trait>();
          foldTraits(traits, eventOf(each), rules);
          if (repack.next().value === true) anchors[each.anchor] = decodeTraits(encodeTraits(traits));
        }
        const merged = mergeTraits(anchors);
        expect(merged.get('x')?.value).toEqual(bruteForce(given, own));
        const [a, b, c] = anchors as [Traits, Traits, Traits];
        const bytes = encodeTraits(merged);
        expect(encodeTraits(mergeTraits([c, a, b, a]))).toEqual(bytes);
        expect(encodeTraits(mergeTraits([a, mergeTraits([b, c])]))).toEqual(bytes);
      }),
      { numRuns: 1_500 },
    );
  });

  it('are those given after the trait was deleted from the anchor, however late the others come', () => {
    const at = fc.integer({ min: 1, max: 12 });
    fc.assert(
      fc.property(history, aRule, fc.uniqueArray(at, { maxLength: 2 }), fc.nat(), (given, own, deletedAt, seed) => {
        const rules = rulesOf(own);
        const lateness = (each: Given) => each.occurredAt + (hash(keyOf(each), seed) % 6);
        const log = [
          ...given.map((each) => ({ acceptedAt: lateness(each), event: eventOf(each, lateness(each)), first: 1 })),
          ...deletedAt.map((acceptedAt) => ({ acceptedAt, event: deletion(acceptedAt), first: 0 })),
        ].sort((a, b) => a.acceptedAt - b.acceptedAt || a.first - b.first);
        const traits: Traits = new Map();
        for (const { event } of log) foldTraits(traits, event, rules);
        const left = given.filter(({ occurredAt }) => occurredAt > Math.max(0, ...deletedAt));
        expect(traits.get('x')?.value).toEqual(bruteForce(left, own));
        expect(encodeTraits(decodeTraits(encodeTraits(traits)))).toEqual(encodeTraits(traits));
        expect(mergeTraits([traits, new Map<string, Trait>()]).get('x')?.value).toEqual(bruteForce(left, own));
      }),
      { numRuns: 1_000 },
    );
  });
});

function hash(text: string, seed: number): number {
  let h = seed;
  for (const char of text) h = (Math.imul(h, 31) + char.charCodeAt(0)) >>> 0;
  return h;
}
