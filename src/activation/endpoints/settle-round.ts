import type { SegmentChange } from '../../segments/segment.model.js';
import { changeDelayMs, probeDelayMs, type AttemptOutcome } from './delivery-attempt.model.js';
import { ENDPOINT_LIMITS, type FailedDelivery } from './endpoint.model.js';
import type { RoundResult } from './endpoint.store.js';

/** A change that a round is about. */
export interface RoundItem {
  readonly change: SegmentChange;
  /** That were made before the round. */
  readonly attempts: number;
  /** Whether it comes from the feed; else it stood among the deliveries. */
  readonly isNew: boolean;
  /** Whether it waits behind an earlier change of its profile that is not of this round. */
  readonly isHeld: boolean;
}

export interface RoundFacts {
  readonly fromSeq: number;
  readonly toSeq: number;
  /** That found the receiver down, one after the other, up to the end of the round. */
  readonly failures: number;
  /** Of those that count as delivered: there was nothing to send. */
  readonly skipped: number;
  /** Changes that were dead before. */
  readonly dead: number;
  readonly nowMs: number;
  readonly random: () => number;
  readonly maxAttempts: number;
}

/** What is written of a round: what is done goes, what failed waits or is dead, what was not tried waits. Pure. */
export function settleRound(
  items: readonly RoundItem[],
  outcomes: ReadonlyMap<number, AttemptOutcome>,
  { fromSeq, toSeq, failures, skipped, dead, nowMs, random, maxAttempts }: RoundFacts,
): RoundResult & { readonly died: number } {
  const done: number[] = [];
  const failed: Omit<FailedDelivery, 'endpointKey'>[] = [];
  let delivered = -skipped;
  let retryAfterMs = 0;
  let error: string | null = null;
  let gone: string | null = null;
  for (const { change, attempts, isNew } of items) {
    const { seq, profileId } = change;
    const outcome = outcomes.get(seq);
    if (outcome === undefined) {
      // Those that stood there already stay as they are.
      if (isNew)
        failed.push({ seq, profileId, status: 'waiting', attempts, nextAt: nowMs, error: null, failedAt: null });
      continue;
    }
    if (outcome.kind === 'delivered') {
      delivered++;
      if (!isNew) done.push(seq);
      continue;
    }
    error = outcome.error;
    if (outcome.kind === 'down') retryAfterMs = Math.max(retryAfterMs, outcome.retryAfterMs ?? 0);
    if (outcome.kind === 'gone') gone = outcome.error;
    // A receiver that wants no more did not refuse this one.
    const made = outcome.kind === 'gone' ? attempts : attempts + 1;
    const isDead = outcome.kind === 'hopeless' || made >= maxAttempts;
    const nextAt = nowMs + (outcome.kind === 'gone' ? 0 : changeDelayMs(made, random()));
    failed.push({
      ...{ seq, profileId, attempts: made, nextAt },
      ...{ status: isDead ? 'dead' : 'waiting', error: outcome.error.slice(0, ENDPOINT_LIMITS.maxErrorLength) },
      failedAt: nowMs,
    });
  }
  const died = failed.filter(({ status }) => status === 'dead').length;
  const restMs = Math.max(retryAfterMs, probeDelayMs(failures, random()));
  return {
    ...{ fromSeq, toSeq, done, failed, delivered, failures, died },
    error: error?.slice(0, ENDPOINT_LIMITS.maxErrorLength) ?? null,
    retryAt: restMs > 0 ? nowMs + restMs : null,
    pauseBecause: whyPaused(gone, dead + died),
  };
}

function whyPaused(gone: string | null, dead: number): string | null {
  if (gone !== null) return `the receiver wants no more (${gone})`;
  if (dead < ENDPOINT_LIMITS.maxDead) return null;
  return `${String(ENDPOINT_LIMITS.maxDead)} changes could not be delivered`;
}
