import type { Logger } from '../platform/logger.js';
import type { Metrics } from '../platform/metrics.js';
import { REFUSAL_CODES } from './accept.model.js';
import type { AcceptObserver } from './accept.service.js';
import type { DroppedIdentifier } from './event.model.js';

/** Sources with a series of their own; further ones are counted together. */
const MAX_SOURCE_LABELS = 100;
const MAX_NAMESPACE_LABELS = 50;
const DROP_REASONS: readonly DroppedIdentifier['reason'][] = [
  'blocked',
  'malformed',
  'too_long',
  'too_many',
  'unknown_namespace',
  'unauthenticated',
];

/** Counts the outcome of every event handed in, by source, and refusals by code. */
export function observeAccepts(metrics: Metrics, logger: Logger): AcceptObserver {
  const events = metrics.counter('events_total', 'Events handed in, by source and outcome', {
    source: MAX_SOURCE_LABELS,
    outcome: ['accepted', 'duplicate', 'refused'],
  });
  const refusals = metrics.counter('events_refused_total', 'Events refused, by code', { code: REFUSAL_CODES });
  const dropped = metrics.counter('identifiers_dropped_total', 'Identifiers that events were taken without', {
    namespace: MAX_NAMESPACE_LABELS,
    reason: DROP_REASONS,
  });
  const stripped = metrics.counter(
    'traits_stripped_total',
    'Traits that events were taken without, because their names begin with $ and are reserved',
    { source: MAX_SOURCE_LABELS },
  );
  const bare = metrics.counter(
    'enrichments_left_out_total',
    'Events taken without the facts found out about them, with which they would be too large',
    { source: MAX_SOURCE_LABELS },
  );
  const lost = metrics.counter('dead_letters_lost_total', 'Refused events that could not be kept as dead letters');
  return {
    accepted: (source, count) => {
      events.add(count, source.key, 'accepted');
    },
    duplicates: (source, count) => {
      events.add(count, source.key, 'duplicate');
    },
    refused: (source, code) => {
      events.add(1, source.key, 'refused');
      refusals.add(1, code);
    },
    identifiersDropped: (_source, identifiers) => {
      for (const { ns, reason } of identifiers) {
        // What is sent as an unknown namespace may be anything, even personal data.
        dropped.add(1, reason === 'unknown_namespace' ? '' : ns, reason);
      }
    },
    traitsStripped: (source, count) => {
      stripped.add(count, source.key);
    },
    factsLeftOut: (source, count) => {
      bare.add(count, source.key);
    },
    namesLost: (source, error) => {
      logger.warn({ source: source.key, err: error }, 'the names of events could not be noted; they are later');
    },
    deadLettersLost: (source, count, error) => {
      lost.add(count);
      logger.error({ source: source.key, count, err: error }, 'dead letters could not be written');
    },
  };
}
