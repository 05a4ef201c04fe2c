import type { ChangeLag } from './activation/change-subscription.model.js';
import { CHANGE_SUBSCRIPTION_LIMITS } from './activation/change-subscription.model.js';
import { ChangeSubscriptionService } from './activation/change-subscription.service.js';
import type { App } from './app.js';
import { Periodic } from './platform/periodic.js';

const EVERY_MS = 15_000;

/** Subscriptions to the feed whose place is kept here; the metrics say how far behind each is. */
export async function startChangeSubscriptions({
  db,
  clock,
  metrics,
  lifecycle,
  repeatedLog,
}: Pick<App, 'db' | 'clock' | 'metrics' | 'lifecycle' | 'repeatedLog'>): Promise<ChangeSubscriptionService> {
  const service = new ChangeSubscriptionService({ db, clock });
  let lags: readonly (readonly [string, ChangeLag])[] = [];
  metrics.gauges(
    'change_subscription_pending_changes',
    `Changes that a subscription has yet to acknowledge, counted up to ${String(CHANGE_SUBSCRIPTION_LIMITS.maxCounted)}.`,
    ['subscription'],
    () => lags.map(([key, { pending }]) => [[key], pending] as const),
  );
  metrics.gauges(
    'change_subscription_lag_seconds',
    'The age of the first change that a subscription has yet to acknowledge; 0: there is none.',
    ['subscription'],
    () => {
      const nowMs = clock.now();
      return lags.map(([key, { since }]) => [[key], since === null ? 0 : Math.max(0, nowMs - since) / 1_000] as const);
    },
  );
  const look = async (): Promise<void> => {
    const found: (readonly [string, ChangeLag])[] = [];
    for (const subscription of await service.page(null, CHANGE_SUBSCRIPTION_LIMITS.maxSubscriptions)) {
      const lag = await service.lag(subscription);
      if (lag !== null) found.push([subscription.key, lag]);
    }
    lags = found;
  };
  const onError = (error: unknown): void => {
    repeatedLog.warn(error, 'how far behind subscriptions are could not be looked at; it is tried again');
  };
  await lifecycle.start(
    'subscription lags',
    () => {
      const periodic = new Periodic(look, EVERY_MS, onError);
      periodic.start();
      periodic.wake();
      return periodic;
    },
    { drain: (periodic) => periodic.stop() },
  );
  return service;
}
