import { countsIn, equalBins, populationStability } from './monitoring/compare-distributions.js';
import { adjustedRandIndex } from './segments/adjusted-rand.js';
import { ThinnedSample } from './platform/thinned-sample.js';
import { mayTellText } from './features/feature-statistics.model.js';
import {
  MIN_GROUP,
  MIN_SELECTED,
  type ClassShift,
  type ImpactGroup,
  type PromotionPreview,
  type ScoreShift,
  type SegmentImpact,
  type SegmentShift,
} from './scoring/promotion-preview.model.js';

/** What a version says of one profile. */
export interface Answered {
  readonly score: number | null;
  /** Label or cluster. */
  readonly class: string | null;
}

/** One profile under the version that answers now, and under the one that may. Null: no answer. */
export interface JudgedProfile {
  readonly before: Answered | null;
  readonly after: Answered | null;
  /** Whether the version that may answer was asked and gave none. */
  readonly isUnanswered: boolean;
  /** Whether it is in each of the segments, in their order. */
  readonly inBefore: readonly boolean[];
  readonly inAfter: readonly boolean[];
  /** Value of the trait by which it is looked; null: none, or none that stands for a group. */
  readonly group: string | null;
}

const BINS = 10;
/** Scores of so many profiles are compared at most. */
const MAX_SCORES = 50_000;
/** More go into one; pairs of them are told of so many. */
const MAX_CLASSES = 100;
const MAX_CLASS_MOVES = 100;
const OTHER_CLASS = '(other)';
const MAX_GROUPS = 20;
/** Values that are counted, of a trait that may be of any text. */
const MAX_VALUES = 1_000;

interface GroupCounts {
  people: number;
  readonly before: number[];
  readonly after: number[];
}

type Counted = Pick<PromotionPreview, 'segments' | 'scores' | 'classes' | 'impacts'>;

/** Adds up what a promotion would change. Memory is bounded whatever the number of profiles. */
export class PromotionTally {
  profiles = 0;
  /** Those looked at on whom no event hangs: nobody asks a model about them. */
  withoutEvents = 0;
  unanswered = 0;
  /** Without a value that stands for a group. */
  ungrouped = 0;
  readonly #segments: readonly string[];
  readonly #trait: string | null;
  readonly #counts: { before: number; after: number; entering: number; leaving: number }[];
  readonly #scores = new ThinnedSample<readonly [before: number, after: number]>(MAX_SCORES);
  readonly #classes = new Map<string, Map<string, number>>();
  readonly #known = new Set<string>();
  readonly #groups = new Map<string, GroupCounts>();

  /** @param segments keys; @param trait by whose values it is looked; null: by none */
  constructor(segments: readonly string[], trait: string | null) {
    this.#segments = segments;
    this.#trait = trait;
    this.#counts = segments.map(() => ({ before: 0, after: 0, entering: 0, leaving: 0 }));
  }

  add({ before, after, isUnanswered, inBefore, inAfter, group }: JudgedProfile): void {
    this.profiles++;
    if (isUnanswered) this.unanswered++;
    this.#counts.forEach((counts, i) => {
      const [was, is] = [inBefore[i] === true, inAfter[i] === true];
      if (was) counts.before++;
      if (is) counts.after++;
      if (!was && is) counts.entering++;
      if (was && !is) counts.leaving++;
    });
    if (before !== null && after !== null) {
      if (before.score !== null && after.score !== null) this.#scores.add([before.score, after.score]);
      if (before.class !== null && after.class !== null) this.#addClasses(before.class, after.class);
    }
    if (this.#trait !== null) this.#addToGroup(group, inBefore, inAfter);
  }

  finish(): Counted {
    return {
      segments: this.#segments.map((key, i) => shiftOf(key, this.#counts[i] as SegmentCounts)),
      scores: scoreShift(this.#scores.values),
      classes: classShift(this.#classes),
      impacts: this.#trait === null ? [] : this.#impacts(this.#trait),
    };
  }

  #addClasses(before: string, after: string): void {
    const [from, to] = [this.#classOf(before), this.#classOf(after)];
    const row = this.#classes.get(from) ?? new Map<string, number>();
    row.set(to, (row.get(to) ?? 0) + 1);
    this.#classes.set(from, row);
  }

  #classOf(name: string): string {
    if (this.#known.has(name)) return name;
    if (this.#known.size >= MAX_CLASSES) return OTHER_CLASS;
    this.#known.add(name);
    return name;
  }

  #addToGroup(value: string | null, inBefore: readonly boolean[], inAfter: readonly boolean[]): void {
    let counts = value === null ? undefined : this.#groups.get(value);
    if (counts === undefined && (value === null || this.#groups.size >= MAX_VALUES)) {
      this.ungrouped++;
      return;
    }
    if (counts === undefined) {
      counts = { people: 0, before: this.#segments.map(() => 0), after: this.#segments.map(() => 0) };
      this.#groups.set(value as string, counts);
    }
    counts.people++;
    inBefore.forEach((isIn, i) => isIn && counts.before[i] !== undefined && counts.before[i]++);
    inAfter.forEach((isIn, i) => isIn && counts.after[i] !== undefined && counts.after[i]++);
  }

  #impacts(trait: string): SegmentImpact[] {
    const told = [...this.#groups]
      .filter(([value, { people }]) => people >= MIN_GROUP && mayTellText(value))
      .sort(([a, m], [b, n]) => n.people - m.people || (a < b ? -1 : 1))
      .slice(0, MAX_GROUPS);
    const small = [...this.#groups.values()].filter(({ people }) => people < MIN_GROUP);
    const tooSmall = { groups: small.length, people: small.reduce((sum, { people }) => sum + people, 0) };
    const unknown = this.profiles - told.reduce((sum, [, { people }]) => sum + people, 0);
    return this.#segments.map((segment, i) => {
      const rates = told.map(([value, { people, before, after }]) => ({
        ...{ value, people },
        rateBefore: (before[i] ?? 0) / people,
        rateAfter: (after[i] ?? 0) / people,
      }));
      const before = ratiosOf(rates.map(({ people, rateBefore: rate }) => ({ people, rate })));
      const after = ratiosOf(rates.map(({ people, rateAfter: rate }) => ({ people, rate })));
      const groups = rates.map((group, at): ImpactGroup => ({
        ...group,
        ratioBefore: before[at] ?? null,
        ratioAfter: after[at] ?? null,
      }));
      return { segment, trait, groups, unknown, tooSmall, leastBefore: leastOf(before), leastAfter: leastOf(after) };
    });
  }
}

interface SegmentCounts {
  readonly before: number;
  readonly after: number;
  readonly entering: number;
  readonly leaving: number;
}

function shiftOf(key: string, counts: SegmentCounts): SegmentShift {
  const { before, entering, leaving } = counts;
  const either = before + entering;
  return { key, ...counts, churn: either === 0 ? 0 : (entering + leaving) / either };
}

/**
 * The rate of each group, of the highest one that is not of a few people; null where it cannot be told from it by so few,
 * so that they neither raise a verdict nor are the measure of others.
 */
function ratiosOf(groups: readonly { readonly people: number; readonly rate: number }[]): (number | null)[] {
  const most = Math.max(0, ...groups.map(({ people, rate }) => (enough(people * rate) ? rate : 0)));
  return groups.map(({ people, rate }) => (enough(people * most) ? rate / most : null));
}

/** As a product of a count and a rate, whose last bit may be missing. */
function enough(selected: number): boolean {
  return Math.round(selected * 1e6) / 1e6 >= MIN_SELECTED;
}

/** One group has nobody to be compared with. */
function leastOf(ratios: readonly (number | null)[]): number | null {
  const known = ratios.filter((ratio) => ratio !== null);
  return known.length < 2 ? null : Math.min(...known);
}

function scoreShift(pairs: readonly (readonly [number, number])[]): ScoreShift | null {
  if (pairs.length === 0) return null;
  const [before, after] = [pairs.map(([score]) => score), pairs.map(([, score]) => score)];
  const bounds = equalBins(
    [...before].sort((a, b) => a - b),
    BINS,
  );
  const [expected, actual] = [countsIn(bounds, before), countsIn(bounds, after)];
  const [meanBefore, meanAfter] = [meanOf(before), meanOf(after)];
  return {
    psi: populationStability(expected, actual),
    ...{ meanBefore, meanAfter },
    meanDifference: meanOf(pairs.map(([was, is]) => Math.abs(is - was))),
    correlation: correlationOf(pairs, meanBefore, meanAfter),
    bins: expected.map((count, i) => ({ upTo: bounds[i] ?? null, before: count, after: actual[i] ?? 0 })),
  };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function correlationOf(pairs: readonly (readonly [number, number])[], meanX: number, meanY: number): number | null {
  let [xx, yy, xy] = [0, 0, 0];
  for (const [x, y] of pairs) {
    xx += (x - meanX) ** 2;
    yy += (y - meanY) ** 2;
    xy += (x - meanX) * (y - meanY);
  }
  return xx === 0 || yy === 0 ? null : xy / Math.sqrt(xx * yy);
}

function classShift(counts: ReadonlyMap<string, ReadonlyMap<string, number>>): ClassShift | null {
  const moves = [...counts].flatMap(([before, row]) =>
    [...row].map(([after, profiles]) => ({ before, after, profiles })),
  );
  const all = moves.reduce((sum, { profiles }) => sum + profiles, 0);
  if (all === 0) return null;
  const names = [...new Set(moves.flatMap(({ before, after }) => [before, after]))];
  const sum = (of: 'before' | 'after') =>
    names.map((name) => moves.reduce((total, move) => total + (move[of] === name ? move.profiles : 0), 0));
  return {
    psi: populationStability(sum('before'), sum('after')),
    adjustedRand: adjustedRandIndex(
      moves.map(({ before, after, profiles: count }) => ({
        before: names.indexOf(before),
        after: names.indexOf(after),
        count,
      })),
    ),
    agreement: moves.reduce((same, move) => same + (move.before === move.after ? move.profiles : 0), 0) / all,
    moves: moves
      .sort((a, b) => b.profiles - a.profiles || (a.before + a.after < b.before + b.after ? -1 : 1))
      .slice(0, MAX_CLASS_MOVES),
  };
}
