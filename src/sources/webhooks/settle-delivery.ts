import { dedupeIdOf, type AcceptResult } from '../../events/event.model.js';
import { PAST_RETENTION } from '../../events/retention.model.js';
import { SUPPRESSED } from '../../events/suppression.model.js';
import type { Uuid } from '../../platform/ids.js';
import type { DeliveredEvents } from './open-webhook.js';

/** What a delivery was mapped to, and what became of that. */
export interface AcceptedDelivery {
  readonly sourceId: number;
  readonly delivered: DeliveredEvents;
  /** Of its events, in their order. */
  readonly results: readonly AcceptResult[];
}

/**
 * What may have been taken back of a delivery and is not accounted for: is not in the log, nor left out on purpose.
 *
 * What cannot be mapped has no message id, and a mended mapping may give others. So where one that was taken back is not
 * found, it may be any item that is refused, and only where none is, it is one that is left out or has another id now.
 * It says rather too often that something is missing than too rarely, because a delivery of which nothing is gets deleted.
 * @param takenBack dedupe ids; null: not known which
 * @returns of these; null: something, and not known what
 */
export function missingOf(takenBack: ReadonlySet<Uuid> | null, accepted: AcceptedDelivery): readonly Uuid[] | null {
  const { sourceId, delivered, results } = accepted;
  const { events, unmapped, leftOut } = delivered;
  const found = new Set<Uuid>();
  let refused = unmapped.length;
  for (const [i, { messageId }] of events.entries()) {
    if (!isAccountedFor(results[i])) refused++;
    else if (messageId !== undefined) found.add(dedupeIdOf(sourceId, messageId));
  }
  if (takenBack === null) return refused === 0 ? [] : null;
  const missing = [...takenBack].filter((id) => !found.has(id));
  if (refused > 0) return missing;
  const renamed = [...found].filter((id) => !takenBack.has(id)).length;
  const leftOutCount = Object.values(leftOut).reduce((sum, each) => sum + each, 0);
  return missing.length <= renamed + leftOutCount ? [] : missing;
}

const GONE: ReadonlySet<string> = new Set([SUPPRESSED.code, PAST_RETENTION.code]);

/** Nobody wants the events back of a person who was erased, or those that are not kept any longer. */
function isAccountedFor(result: AcceptResult | undefined): boolean {
  return result !== undefined && (result.status !== 'refused' || GONE.has(result.code));
}
