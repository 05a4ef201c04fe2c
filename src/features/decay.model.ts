import { compareValue, type CompareOp, type Constant } from './compare-value.model.js';
import type { FeatureValue } from './feature.model.js';

/*
 * Exponential decay: an event at `ts` weighs 2^−((t − ts) / h) at t, with half-life h.
 *
 * Weights are kept against a landmark that is fixed for ever, as in G. Cormode, V. Shkapenyuk, D. Srivastava, B. Xu,
 * "Forward Decay" (ICDE 2009), so that adding and merging do not depend on when they are done: time is cut into tiles of
 * one half-life, and within its tile an event weighs 2^(offset / h), 1 to 2, in fixed point. A tile's integer is exact;
 * the tile's own factor, a power of 2, comes in when it is read.
 */

/** An event counts until its tile is this many half-lives old. It weighs less than 10⁻¹⁹ of itself then. */
export const DECAY_HALF_LIVES = 64;

const MINUTE_MS = 60_000;
const MIN_STEP_MS = 5 * MINUTE_MS;
const STEPS_PER_HALF_LIFE = 1_000;
/** Milliseconds looked at around the computed crossing, which is rounded. */
const AROUND = 3;

/** What an event weighs at the landmark of its tile: 1 to 2. */
export function weightInTile(ts: number, halfLifeMs: number): number {
  return 2 ** ((ts - Math.floor(ts / halfLifeMs) * halfLifeMs) / halfLifeMs);
}

/** The factor at `t` of what is in a tile. The difference of times is exact, so nothing is lost where both are large. */
export function factorOfTile(tile: number, t: number, halfLifeMs: number): number {
  return 2 ** (-(t - tile * halfLifeMs) / halfLifeMs);
}

/**
 * The instant up to which a fading value is handed out. It fades all the time; between these instants, by less than a
 * thousandth where the half-life is longer than four days, else by what 5 minutes bring.
 */
export function fadesUntil(t: number, halfLifeMs: number): number {
  const stepMs = Math.max(MIN_STEP_MS, Math.floor(halfLifeMs / STEPS_PER_HALF_LIFE));
  return (Math.floor(t / stepMs) + 1) * stepMs;
}

/**
 * When `value op constant` changes its answer, to the millisecond, where the value S halves every half-life: at
 * `t + h·log₂(S / constant)`, or where a tile departs.
 *
 * @param departureAfter when the next tile departs; Infinity: none is left
 */
export function flipOfFading(
  read: (at: number) => FeatureValue,
  departureAfter: (at: number) => number,
  { t, op, constant, halfLifeMs }: { t: number; op: CompareOp; constant: Constant; halfLifeMs: number },
): number {
  const answerAt = (at: number): boolean | null => compareValue(read(at), op, constant);
  const before = answerAt(t);
  for (let from = t; ;) {
    const departsAt = departureAfter(from);
    const { value } = read(from);
    const ratio = typeof value === 'number' && typeof constant === 'number' ? value / constant : 0;
    if (ratio >= 1 && ratio < Infinity) {
      const crossing = Math.floor(from + halfLifeMs * Math.log2(ratio));
      for (let at = Math.max(from + 1, crossing - AROUND); at <= crossing + AROUND && at < departsAt; at++) {
        if (answerAt(at) !== before) return at;
      }
    }
    if (departsAt === Infinity) return Infinity;
    if (answerAt(departsAt) !== before) return departsAt;
    from = departsAt;
  }
}
