import type { Comparison } from './compare-features.js';

export const PARITY_DAY_MS = 86_400_000;
/** Figures are kept so long. */
export const PARITY_KEPT_DAYS = 30;

/** What came of comparing values of a feature as they are served with what the log gives. */
export interface ParityFigures {
  readonly feature: string;
  readonly compared: number;
  /** Both have a value, and they are not the same. */
  readonly mismatched: number;
  /** Only one has a value. */
  readonly missing: number;
  /** They differ, and both are estimates. */
  readonly estimated: number;
  /** The greatest difference of two numbers. */
  readonly maxDelta: number;
}

/** The same over some time. */
export interface ParityRecord extends ParityFigures {
  /** ms. */
  readonly lastComparedAt: number;
  /** When a value was missing or another last, ms; null: never. */
  readonly lastMismatchAt: number | null;
}

/** Adds comparisons up, by feature. */
export class ParityTally {
  readonly #figures = new Map<string, ParityFigures>();

  add(feature: string, { outcome, delta }: Comparison): void {
    const before = this.#figures.get(feature) ?? noFigures(feature);
    const after = {
      ...before,
      compared: before.compared + 1,
      maxDelta: Math.max(before.maxDelta, delta),
      ...(outcome === 'equal' ? {} : { [outcome]: before[outcome] + 1 }),
    };
    this.#figures.set(feature, after);
  }

  /** By name. */
  get figures(): readonly ParityFigures[] {
    return [...this.#figures.values()].sort((a, b) => (a.feature < b.feature ? -1 : 1));
  }
}

function noFigures(feature: string): ParityFigures {
  return { feature, compared: 0, mismatched: 0, missing: 0, estimated: 0, maxDelta: 0 };
}
