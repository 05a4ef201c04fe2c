import type { Comparison } from './compare-features.js';

export const PARITY_DAY_MS = 86_400_000;
/** Figures are kept so long. */
export const PARITY_KEPT_DAYS = 30;
/** Values that one look names, at most. */
export const MAX_MISMATCHES = 100;

/** What came of comparing values of a feature as they are served with what the log gives. */
export interface ParityFigures {
  /** What it is a feature of: `profile`, or the name of another entity. */
  readonly entity: string;
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
  /** Values that were not compared, as their profile or item has more events than are read. */
  readonly tooBig: number;
}

/** What one look found. @typeParam M a value that is wrong */
export interface ParityFindings<M> {
  /** Profiles or items that were not compared, because of more events than are read, damaged ones, or changes meanwhile. */
  readonly skipped: number;
  /** Those of them that have more events than are read. */
  readonly tooBig: number;
  /** Log positions read in all. */
  readonly events: number;
  readonly figures: readonly ParityFigures[];
  /** The first {@link MAX_MISMATCHES} of them. */
  readonly mismatches: readonly M[];
  /** Names of features that the log cannot tell: its older events were removed, or history is still being folded in. */
  readonly untold: readonly string[];
}

/** The same over some time. */
export interface ParityRecord extends ParityFigures {
  /** ms. */
  readonly lastComparedAt: number;
  /** When a value was missing or another last, ms; null: never. */
  readonly lastMismatchAt: number | null;
}

/** Adds comparisons up, by feature of one entity. */
export class ParityTally {
  readonly #figures = new Map<string, ParityFigures>();

  constructor(private readonly entity: string) {}

  add(feature: string, { outcome, delta }: Comparison): void {
    const before = this.#figures.get(feature) ?? noFigures(this.entity, feature);
    const after = {
      ...before,
      compared: before.compared + 1,
      maxDelta: Math.max(before.maxDelta, delta),
      ...(outcome === 'equal' ? {} : { [outcome]: before[outcome] + 1 }),
    };
    this.#figures.set(feature, after);
  }

  /** Notes a value that is not compared, as there are more events behind it than are read. */
  leaveOut(feature: string): void {
    const before = this.#figures.get(feature) ?? noFigures(this.entity, feature);
    this.#figures.set(feature, { ...before, tooBig: before.tooBig + 1 });
  }

  /** By name. */
  get figures(): readonly ParityFigures[] {
    return [...this.#figures.values()].sort((a, b) => (a.feature < b.feature ? -1 : 1));
  }
}

function noFigures(entity: string, feature: string): ParityFigures {
  return { entity, feature, compared: 0, mismatched: 0, missing: 0, estimated: 0, maxDelta: 0, tooBig: 0 };
}
