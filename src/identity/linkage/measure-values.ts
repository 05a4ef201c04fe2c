import type { Measure, TextMeasure } from './condition.model.js';
import { damerauLevenshtein, jaccard, jaro, jaroWinkler, leastJaro, levenshtein, type Units } from './text-distance.js';
import type { ValueStore } from './value-store.js';

/** A measure of two values that are there; NaN where it says nothing of them, as of texts that are no numbers. */
export type PairMeasure = (left: number, right: number) => number;

/** What is asked of a measure: beyond these it need not be exact, only beyond. */
export interface MeasureBounds {
  /** The greatest distance of interest. */
  readonly most: number;
  /** The least similarity of interest. */
  readonly least: number;
}

export function pairMeasure(
  measure: Exclude<Measure, 'km_apart'>,
  store: ValueStore,
  bounds: MeasureBounds,
): PairMeasure {
  switch (measure) {
    case 'nearest_levenshtein':
      return nearest(textMeasure('levenshtein', store, bounds), Math.min, store);
    case 'nearest_damerau_levenshtein':
      return nearest(textMeasure('damerau_levenshtein', store, bounds), Math.min, store);
    case 'nearest_jaro':
      return nearest(textMeasure('jaro', store, bounds), Math.max, store);
    case 'nearest_jaro_winkler':
      return nearest(textMeasure('jaro_winkler', store, bounds), Math.max, store);
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
      return textMeasure(measure, store, bounds);
  }
}

function textMeasure(measure: TextMeasure, store: ValueStore, { most, least }: MeasureBounds): PairMeasure {
  switch (measure) {
    case 'levenshtein':
      return distance((a, b) => levenshtein(a, b, most), store, most);
    case 'damerau_levenshtein':
      return distance((a, b) => damerauLevenshtein(a, b, most), store, most);
    case 'jaro':
      return similarity(jaro, store, least);
    case 'jaro_winkler':
      return similarity(jaroWinkler, store, leastJaro(least));
    case 'jaccard':
      return (a, b) => jaccard(store.units(a), store.units(b));
  }
}

/** Each edit brings in at most one unit that was not there, so that texts of other units are told apart at once. */
function distance(measure: (a: Units, b: Units) => number, store: ValueStore, most: number): PairMeasure {
  return (left, right) => {
    const lengthA = store.length(left);
    const lengthB = store.length(right);
    const longer = Math.max(lengthA, lengthB);
    if (longer - Math.min(lengthA, lengthB) > most) return most + 1;
    if (longer - store.mostCommon(left, right) > most) return most + 1;
    return measure(store.units(left), store.units(right));
  };
}

/** By which a bound may be missed in floating point. */
const ROUNDING = 1e-9;

/** Matching units are at most those that both texts have, which bounds Jaro's similarity from above. */
function similarity(measure: (a: Units, b: Units) => number, store: ValueStore, least: number): PairMeasure {
  const leastSum = 3 * least - 1 - ROUNDING;
  return (left, right) => {
    const lengthA = store.length(left);
    const lengthB = store.length(right);
    const matches = store.mostCommon(left, right);
    if (matches / lengthA + matches / lengthB < leastSum) return 0;
    return measure(store.units(left), store.units(right));
  };
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
  const likeness = similarity(jaroWinkler, store, leastJaro(ALIKE));
  const isNumber = new Map<number, boolean>();
  const isWord = (id: number): boolean => {
    let known = isNumber.get(id);
    if (known === undefined) {
      known = /^\d+$/.test(store.text(id));
      isNumber.set(id, known);
    }
    return !known;
  };
  return ofLists(store, (a, b) => {
    const same = common(a, b);
    const restA = a.filter((word) => isWord(word) && !b.includes(word));
    const restB = b.filter((word) => isWord(word) && !a.includes(word));
    let sum = same;
    while (restA.length > 0 && restB.length > 0) {
      const best = mostAlike(restA, restB, store, likeness);
      if (best === null) break;
      sum += best.likeness;
      restA.splice(best.inA, 1);
      restB.splice(best.inB, 1);
    }
    return (2 * sum) / (a.length + b.length);
  });
}

interface Alike {
  readonly likeness: number;
  readonly inA: number;
  readonly inB: number;
  /** Both words in alphabetical order: what decides between pairs that are equally alike. */
  readonly words: string;
}

function mostAlike(a: readonly number[], b: readonly number[], store: ValueStore, measure: PairMeasure): Alike | null {
  let best: Alike | null = null;
  for (let inA = 0; inA < a.length; inA++) {
    for (let inB = 0; inB < b.length; inB++) {
      const likeness = measure(a[inA] as number, b[inB] as number);
      if (likeness < ALIKE || likeness < (best?.likeness ?? 0)) continue;
      const words = [store.text(a[inA] as number), store.text(b[inB] as number)].sort().join(' ');
      if (best === null || likeness > best.likeness || words < best.words) best = { likeness, inA, inB, words };
    }
  }
  return best;
}

const EARTH_RADIUS_KM = 6371;

/** Great circle by the spherical law of cosines, in degrees to km; NaN where a coordinate is no number. */
export function kmApart(latitudeA: number, latitudeB: number, longitudeA: number, longitudeB: number): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const [a, b] = [radians(latitudeA), radians(latitudeB)];
  const cosine = Math.sin(a) * Math.sin(b) + Math.cos(a) * Math.cos(b) * Math.cos(radians(longitudeB - longitudeA));
  return Math.acos(Math.max(-1, Math.min(1, cosine))) * EARTH_RADIUS_KM;
}
