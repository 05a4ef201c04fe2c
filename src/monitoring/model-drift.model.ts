import { sumOfHours, type ScoreHour } from '../scoring/score-hour.model.js';
import type { VersionHours } from '../scoring/score-hour.reader.js';
import { countsIn, equalBins, populationStability } from './compare-distributions.js';

/** What a version says of live traffic now, beside what it said when it began, and beside the active one. */
export interface VersionDrift {
  readonly version: number;
  /** Of the last day. */
  readonly answered: number;
  readonly unanswered: number;
  /** Mean score; null: it gave none. */
  readonly mean: number | null;
  /** Population stability index of the last day against the day with which it began; null: nothing to compare. */
  readonly psi: number | null;
  /** That of its last day against the active version's. */
  readonly psiAgainstActive: number | null;
  /** Features that are missing more often or less than when it began, the greatest change first. */
  readonly missing: readonly MissingShift[];
}

export interface MissingShift {
  readonly feature: string;
  /** Share of the rows without a value, 0 to 1. */
  readonly before: number;
  readonly now: number;
}

const BINS = 10;
const MAX_SHIFTS = 20;
/** Smaller changes of a share are not told. */
const LEAST_SHIFT = 0.01;

/** @param active version; null: none is */
export function driftOfVersions(versions: readonly VersionHours[], active: number | null): VersionDrift[] {
  const ofActive = sumOfHours(versions.find(({ version }) => version === active)?.last ?? []);
  return versions.map(({ version, first, last }) => {
    const [before, now] = [sumOfHours(first), sumOfHours(last)];
    return {
      version,
      answered: now?.answered ?? 0,
      unanswered: now?.unanswered ?? 0,
      mean: now === null || now.scored === 0 ? null : now.total / now.scored,
      psi: stability(before, now),
      psiAgainstActive: version === active ? null : stability(ofActive, now),
      missing: before === null || now === null ? [] : missingShifts(before, now),
    };
  });
}

/** Of scores, or of classes where there are none. */
function stability(expected: ScoreHour | null, actual: ScoreHour | null): number | null {
  if (expected === null || actual === null) return null;
  if (expected.sample.length > 0 && actual.sample.length > 0) {
    const bounds = equalBins(
      [...expected.sample].sort((a, b) => a - b),
      BINS,
    );
    return populationStability(countsIn(bounds, expected.sample), countsIn(bounds, actual.sample));
  }
  const names = [...new Set([...Object.keys(expected.classes), ...Object.keys(actual.classes)])];
  const counts = ({ classes }: ScoreHour): number[] => names.map((name) => classes[name] ?? 0);
  return names.length === 0 ? null : populationStability(counts(expected), counts(actual));
}

function missingShifts(before: ScoreHour, now: ScoreHour): MissingShift[] {
  if (before.answered === 0 || now.answered === 0) return [];
  const by = ({ before: was, now: is }: MissingShift): number => Math.abs(is - was);
  return [...new Set([...Object.keys(before.missing), ...Object.keys(now.missing)])]
    .map((feature) => ({
      feature,
      before: (before.missing[feature] ?? 0) / before.answered,
      now: (now.missing[feature] ?? 0) / now.answered,
    }))
    .filter((shift) => by(shift) >= LEAST_SHIFT)
    .sort((a, b) => by(b) - by(a) || (a.feature < b.feature ? -1 : 1))
    .slice(0, MAX_SHIFTS);
}
