import type { Measure, TextMeasure } from './condition.model.js';
import { damerauLevenshtein, jaccard, jaro, jaroWinkler, levenshtein } from './text-distance.js';
import type { ValueStore } from './value-store.js';

/** A measure of two values that are there; NaN where it says nothing of them, as of texts that are no numbers. */
export type PairMeasure = (left: number, right: number) => number;

/**
 * @param limit distances above it need not be exact
 */
export function pairMeasure(measure: Exclude<Measure, 'km_apart'>, store: ValueStore, limit: number): PairMeasure {
  switch (measure) {
    case 'nearest_levenshtein':
      return nearest(textMeasure('levenshtein', store, limit), Math.min, store);
    case 'nearest_damerau_levenshtein':
      return nearest(textMeasure('damerau_levenshtein', store, limit), Math.min, store);
    case 'nearest_jaro':
      return nearest(textMeasure('jaro', store, limit), Math.max, store);
    case 'nearest_jaro_winkler':
      return nearest(textMeasure('jaro_winkler', store, limit), Math.max, store);
    case 'common':
      return ofLists(store, common);
    case 'uncommon':
      return ofLists(store, (a, b) => Math.min(a.length, b.length) - common(a, b));
    case 'shorter':
      return ofLists(store, (a, b) => Math.min(a.length, b.length));
    case 'token_overlap':
      return tokenOverlap(store);
    case 'seconds_apart':
    case 'difference':
      return ofNumbers(store, (a, b) => Math.abs(a - b));
    case 'relative_difference':
      return ofNumbers(store, (a, b) => Math.abs(a - b) / Math.max(a, b));
    default:
      return textMeasure(measure, store, limit);
  }
}

function textMeasure(measure: TextMeasure, store: ValueStore, limit: number): PairMeasure {
  switch (measure) {
    case 'levenshtein':
      return (a, b) => levenshtein(store.units(a), store.units(b), limit);
    case 'damerau_levenshtein':
      return (a, b) => damerauLevenshtein(store.units(a), store.units(b), limit);
    case 'jaro':
      return (a, b) => jaro(store.units(a), store.units(b));
    case 'jaro_winkler':
      return (a, b) => jaroWinkler(store.units(a), store.units(b));
    case 'jaccard':
      return (a, b) => jaccard(store.units(a), store.units(b));
  }
}

function ofNumbers(store: ValueStore, measure: (a: number, b: number) => number): PairMeasure {
  const known = new Map<number, number>();
  const numberOf = (id: number): number => {
    let number = known.get(id);
    if (number === undefined) {
      const text = store.text(id).trim();
      number = text === '' ? NaN : Number(text);
      known.set(id, number);
    }
    return number;
  };
  return (left, right) => measure(numberOf(left), numberOf(right));
}

function ofLists(store: ValueStore, measure: (a: readonly number[], b: readonly number[]) => number): PairMeasure {
  return (left, right) => measure(store.list(left) ?? [left], store.list(right) ?? [right]);
}

function common(a: readonly number[], b: readonly number[]): number {
  let count = 0;
  for (const item of a) if (b.includes(item)) count++;
  return count;
}

function nearest(measure: PairMeasure, best: (a: number, b: number) => number, store: ValueStore): PairMeasure {
  return (left, right) => {
    let result = NaN;
    for (const a of store.list(left) ?? [left]) {
      for (const b of store.list(right) ?? [right]) {
        const each = measure(a, b);
        result = Number.isNaN(result) ? each : best(result, each);
      }
    }
    return result;
  };
}

/** Words at least this alike count as one with a slip. */
const ALIKE = 0.88;

/**
 * How much of two sets of words is the same, from 0 to 1: each word of the shorter set takes the word of the other that
 * is most like it, the best pairs first; a pair counts by its similarity of Jaro and Winkler if that is 0.88 or more,
 * numbers only if they are equal. The sum is divided by the mean number of words (Dice, softened after W. W. Cohen,
 * P. Ravikumar, S. E. Fienberg, A comparison of string distance metrics for name-matching tasks, 2003).
 */
function tokenOverlap(store: ValueStore): PairMeasure {
  return ofLists(store, (a, b) => {
    const restA = a.filter((word) => !b.includes(word));
    const restB = b.filter((word) => !a.includes(word));
    let sum = a.length - restA.length;
    while (restA.length > 0 && restB.length > 0) {
      const best = mostAlike(restA, restB, store);
      if (best === null) break;
      sum += best.similarity;
      restA.splice(best.inA, 1);
      restB.splice(best.inB, 1);
    }
    return (2 * sum) / (a.length + b.length);
  });
}

interface Likeness {
  readonly similarity: number;
  readonly inA: number;
  readonly inB: number;
  /** Both words in alphabetical order: what decides between pairs that are equally alike. */
  readonly words: string;
}

function mostAlike(a: readonly number[], b: readonly number[], store: ValueStore): Likeness | null {
  let best: Likeness | null = null;
  for (const [inA, wordA] of a.entries()) {
    const textA = store.text(wordA);
    if (isNumber(textA)) continue;
    for (const [inB, wordB] of b.entries()) {
      const similarity = jaroWinkler(store.units(wordA), store.units(wordB));
      if (similarity < ALIKE || similarity < (best?.similarity ?? 0)) continue;
      const textB = store.text(wordB);
      const words = textA < textB ? `${textA} ${textB}` : `${textB} ${textA}`;
      if (best === null || similarity > best.similarity || words < best.words) best = { similarity, inA, inB, words };
    }
  }
  return best;
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text);
}

const EARTH_RADIUS_KM = 6371;

/** Great circle by the spherical law of cosines, in degrees to km; NaN where a coordinate is no number. */
export function kmApart(latitudeA: number, latitudeB: number, longitudeA: number, longitudeB: number): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const [a, b] = [radians(latitudeA), radians(latitudeB)];
  const cosine = Math.sin(a) * Math.sin(b) + Math.cos(a) * Math.cos(b) * Math.cos(radians(longitudeB - longitudeA));
  return Math.acos(Math.max(-1, Math.min(1, cosine))) * EARTH_RADIUS_KM;
}
