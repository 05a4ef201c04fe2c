import type { Metrics } from '../../platform/metrics.js';
import type { RepeatedLog } from '../../platform/repeated-log.js';
import { LEFT_OUT_REASONS } from './open-webhook.js';
import { DELIVERY_OUTCOMES, type WebhookObserver } from './webhook-receiver.js';

/** Webhooks with a series of their own; further ones are counted together. */
const MAX_LABELS = 100;

/** Counts deliveries by webhook and outcome, and what of them became no event. Nothing of what they say. */
export function observeWebhooks(metrics: Pick<Metrics, 'counter'>, log: RepeatedLog): WebhookObserver {
  const deliveries = metrics.counter('webhook_deliveries_total', 'Deliveries of webhooks, by source and outcome.', {
    source: MAX_LABELS,
    outcome: DELIVERY_OUTCOMES,
  });
  const leftOut = metrics.counter('webhook_left_out_total', 'Parts of deliveries that became no event, by reason.', {
    source: MAX_LABELS,
    reason: LEFT_OUT_REASONS,
  });
  const swept = metrics.counter('webhook_deliveries_swept_total', 'Deliveries deleted early: a webhook had too many.');
  return {
    delivered: (key, outcome) => {
      deliveries.add(1, key, outcome);
    },
    leftOut: (key, reason, count) => {
      leftOut.add(count, key, reason);
    },
    mappingFailed: (_key, error) => {
      // The message of a defect may quote what was mapped.
      const name = error instanceof Error ? error.name : typeof error;
      log.warn(new Error(`${name}; weft dead-letters list --code MAPPING_FAILED`), 'a delivery could not be mapped');
    },
    sweptEarly: (count) => {
      swept.add(count);
    },
  };
}
