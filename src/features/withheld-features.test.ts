import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { JsonValue } from '../events/event.model.js';
import { compileConsents, consentTrait } from '../profiles/consent.model.js';
import { OutlivedTraits } from '../profiles/outlived-traits.js';
import { newestRemoved, removedWords } from '../profiles/removed-word.model.js';
import type { Trait, Traits } from '../profiles/trait.model.js';
import { decodeTraits, encodeTraits } from '../profiles/trait-codec.js';
import { NO_TRAIT_RULES } from '../profiles/trait-rule.model.js';
import { foldTraits, mergeTraits, type TraitEvent } from '../profiles/traits.model.js';
import { HeldWords } from './withheld-features.js';

const BY_DEFAULT = { default: 'granted', expiresAfterDays: null } as const;
const TERMS = { default: 'denied', expiresAfterDays: null } as const;
const ADS = { ...TERMS, key: 'ads', name: 'ads', description: '', edge: false, categories: { '*': ['Advertising'] } };
const MAPPING = compileConsents([ADS], new Map());
const RULES = { ...NO_TRAIT_RULES, consents: MAPPING };
const VALUE = { status: 'PRESENT', value: 1, eventTs: 1, validUntil: Infinity, approximate: false } as const;

interface Given {
  readonly anchor: number;
  readonly isGranted: boolean;
  readonly expiresAt: number | null;
  readonly occurredAt: number;
  readonly sourceId: number;
  readonly messageId: string;
  readonly form: 'purpose' | 'category' | 'reserved';
}

const aWord: fc.Arbitrary<Given> = fc.record({
  anchor: fc.nat({ max: 2 }),
  isGranted: fc.boolean(),
  expiresAt: fc.constantFrom(null, 50),
  // Few, so that most words share their instant with others.
  occurredAt: fc.integer({ min: 1, max: 3 }),
  sourceId: fc.integer({ min: 1, max: 2 }),
  messageId: fc.constantFrom('a', 'b', 'c', 'd'),
  form: fc.constantFrom('purpose', 'category', 'reserved'),
});
const words = fc.uniqueArray(aWord, {
  selector: ({ occurredAt, sourceId, messageId }) => `${String(occurredAt)} ${String(sourceId)} ${messageId}`,
  maxLength: 8,
});

function eventOf({ form, isGranted, expiresAt, occurredAt, sourceId, messageId }: Given): TraitEvent {
  const word = { status: isGranted ? 'granted' : 'denied', expiresAt };
  const consent: JsonValue =
    form === 'category' ? { categoryPreferences: { Advertising: isGranted } } : { purposes: { ads: word } };
  return {
    type: 'identify',
    name: 'identify',
    traits: form === 'reserved' ? { [consentTrait('ads')]: word } : {},
    properties: {},
    context: form === 'reserved' ? {} : { consent },
    groupId: null,
    occurredAt,
    acceptedAt: 10,
    sourceId,
    messageId,
  };
}

const wordEventOf = (each: Given) => ({
  ...eventOf(each),
  identifiers: [{ id: `anchor-${String(each.anchor)}`, ns: 'user_id', value: String(each.anchor) }],
});

function folded(given: readonly Given[]): Traits[] {
  const anchors = Array.from({ length: 3 }, (): Traits => new Map());
  for (const each of given) {
    const anchor = anchors[each.anchor] ?? new Map<string, Trait>();
    foldTraits(anchor, eventOf(each), RULES);
    anchors[each.anchor] = decodeTraits(encodeTraits(anchor));
  }
  return anchors;
}

/** Whether the newest instant has words, and no denial among them. */
function isGrantedLast(given: readonly Given[]): boolean {
  const lastMs = Math.max(...given.map(({ occurredAt }) => occurredAt));
  return given.length > 0 && given.every(({ occurredAt, isGranted }) => occurredAt < lastMs || isGranted);
}

function statusOf(traits: Traits): unknown {
  return (traits.get(consentTrait('ads'))?.value as { status?: string } | undefined)?.status;
}

it('of words of one instant a denial counts, in any order, over merges, unmerges and rebuilds, and as of the past', () => {
  fc.assert(
    fc.property(words, fc.infiniteStream(fc.nat()), (given, random) => {
      const shuffled = [...given]
        .map((each) => ({ each, place: random.next().value as number }))
        .sort((a, b) => a.place - b.place)
        .map(({ each }) => each);
      const expected = given.length === 0 ? undefined : isGrantedLast(given) ? 'granted' : 'denied';
      const anchors = folded([...shuffled, ...shuffled.slice(0, 3)]);
      const merged = mergeTraits(anchors);
      expect(statusOf(merged)).toBe(expected);

      const [a, b, c] = anchors as [Traits, Traits, Traits];
      expect(encodeTraits(mergeTraits([c, mergeTraits([a, b]), b]))).toEqual(encodeTraits(merged));
      expect(folded(given).map(encodeTraits)).toEqual(anchors.map(encodeTraits));
      for (const [i, anchor] of anchors.entries()) {
        const own = given.filter((each) => each.anchor === i);
        expect(statusOf(anchor)).toBe(own.length === 0 ? undefined : isGrantedLast(own) ? 'granted' : 'denied');
      }

      // Folded anew from a log that a retention emptied but for one event.
      const outlived = new OutlivedTraits(a);
      const left = given.filter((each) => each.anchor === 0).slice(0, 1);
      for (const each of left) outlived.note(each);
      const [rebuilt = new Map<string, Trait>()] = folded(left);
      outlived.keepWords(rebuilt);
      expect(encodeTraits(rebuilt)).toEqual(encodeTraits(a));

      const held = new HeldWords({ needed: [['ads']], terms: new Map([['ads', TERMS]]), mapping: MAPPING });
      for (const each of shuffled) held.add(eventOf(each));
      expect(held.withhold([VALUE], 10).isWithheld).toBe(expected !== 'granted');
    }),
  );
});

type Fate = 'removed' | 'left' | 'taken back';
const fates = fc.uniqueArray(fc.tuple(aWord, fc.constantFrom<Fate>('removed', 'left', 'taken back')), {
  selector: ([{ occurredAt, sourceId, messageId }]) => `${String(occurredAt)} ${String(sourceId)} ${messageId}`,
  maxLength: 10,
});

it('words of removed events count as if the log had them still, once others are taken back, and as of the past', () => {
  fc.assert(
    fc.property(fates, fc.nat({ max: 10 }), (all, cut) => {
      const of = (...wanted: Fate[]) => all.flatMap(([given, fate]) => (wanted.includes(fate) ? [given] : []));
      const [removed, left, counting] = [of('removed'), of('left'), of('removed', 'left')];
      const kept = removedWords(removed.map(wordEventOf), MAPPING);
      // In whatever steps they are removed.
      const steps = [removed.slice(cut), removed.slice(0, cut)].map((step) =>
        removedWords(step.map(wordEventOf), MAPPING),
      );
      const byText = (words: readonly unknown[]) => words.map((word) => JSON.stringify(word)).sort();
      expect(newestRemoved(kept)).toEqual(kept);
      expect(byText(newestRemoved(steps.flat()))).toEqual(byText(kept));

      const rebuilt = folded(left);
      const outlived = folded(all.map(([given]) => given)).map((standing, i) => {
        const words = new OutlivedTraits(standing);
        for (const each of of('left', 'taken back')) words.note(each);
        for (const word of kept) if (word.anchorId === `anchor-${String(i)}`) words.hear(word);
        words.keepWords(rebuilt[i] as Traits);
        return words.wordsApart();
      });
      const expected = (given: readonly Given[]) =>
        given.length === 0 ? undefined : isGrantedLast(given) ? 'granted' : 'denied';
      for (const [i, traits] of rebuilt.entries()) {
        expect(statusOf(traits)).toBe(expected(counting.filter(({ anchor }) => anchor === i)));
      }
      expect(statusOf(mergeTraits(rebuilt))).toBe(expected(counting));

      const gates = { needed: [['ads']], mapping: MAPPING, terms: new Map([['ads', BY_DEFAULT]]) };
      const told = outlived.flat().sort((a, b) => a.fromMs - b.fromMs);
      const held = new HeldWords(gates, { outlived: told, deniedNow: new Set() });
      for (let t = 1; t <= 4; t++) {
        for (const each of left) if (each.occurredAt === t - 1) held.add(eventOf(each));
        const isDenied = expected(counting.filter(({ occurredAt }) => occurredAt < t)) === 'denied';
        const { isWithheld } = held.withhold([VALUE], t);
        if (isDenied || t === 4) expect(isWithheld).toBe(isDenied);
        // More is withheld only where not all words of one status are kept.
        else if (isWithheld) expect(kept.length).toBeLessThan(removed.length);
      }
    }),
  );
});
