import type { FeatureValue } from '../features/feature.model.js';

/*
 * What conditions see of a model's score, as a function of a profile's events and of the instant alone.
 *
 * The features that a model reads may change by time at any millisecond, and a timer for each of these changes would be
 * a timer for everyone. So scores age in steps: at `t` a model is shown its features as of the beginning of the step that
 * holds `t`, or as of the newest event among them if that is later. Hence
 *
 *  1. right after an event that is on time, a score is that of the features as of the event;
 *  2. between two events it changes at whole steps only;
 *  3. when and how often somebody looked cannot be told from it.
 *
 * An instant after the newest event is what features may be read for, see `FeatureSet.value`. A first value is left out:
 * it may be followed by newer events that it does not show, so its time says nothing about the newest.
 */

/** The shortest hop, so that windows of whole hops, whose ends all lie between steps, are as exact as ever. */
export const SCORE_STEP_MS = 5 * 60_000;

/**
 * The instant as of which a model's features are read at `t`, ms.
 * @param row the features as of `t`, whose windows are no shorter than a step
 * @param isFirst whether the feature at a place of the row is a first value
 */
export function inputsAsOf(row: readonly FeatureValue[], isFirst: readonly boolean[], t: number): number {
  let asOf = Math.floor(t / SCORE_STEP_MS) * SCORE_STEP_MS;
  for (let i = 0; i < row.length; i++) {
    const eventTs = row[i]?.eventTs ?? null;
    if (eventTs !== null && eventTs >= asOf && isFirst[i] !== true) asOf = eventTs + 1;
  }
  return asOf;
}

/** The first whole step after `t`, ms. */
export function nextScoreStep(t: number): number {
  return (Math.floor(t / SCORE_STEP_MS) + 1) * SCORE_STEP_MS;
}

/** The first whole step at which a score whose inputs hold until `validUntil` (ms) may be another; Infinity if never. */
export function scoreHoldsUntil(validUntil: number): number {
  return Math.ceil(validUntil / SCORE_STEP_MS) * SCORE_STEP_MS;
}
