import { randomBytes } from 'node:crypto';
import type { EventAcceptor } from './events/accept.model.js';
import type { DeadLetterStore } from './events/dead-letter.store.js';
import type { Clock } from './platform/clock.js';
import type { InstallationSecret } from './platform/installation-secret.js';
import type { Lifecycle } from './platform/lifecycle.js';
import { Periodic } from './platform/periodic.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import type { SourceService } from './sources/source.service.js';
import { loadTextReader } from './platform/text-reader.js';
import { WebhookDeliveryStore } from './sources/webhooks/webhook-delivery.store.js';
import { WebhookReceiver, type WebhookObserver } from './sources/webhooks/webhook-receiver.js';
import { WebhookService } from './sources/webhooks/webhook.service.js';
import { WebhookStore } from './sources/webhooks/webhook.store.js';

export interface WebhookParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly secret: InstallationSecret;
  readonly sources: SourceService;
  readonly acceptor: EventAcceptor;
  readonly deadLetters: DeadLetterStore;
  readonly observer: WebhookObserver;
  /** Deliveries that are replayed together. */
  readonly replayPageSize?: number;
}

export interface Webhooks {
  readonly service: WebhookService;
  readonly receiver: WebhookReceiver;
}

/** Wires what takes webhooks in and what manages them, over one database. */
export function createWebhooks({
  db,
  clock,
  secret,
  sources,
  acceptor,
  deadLetters,
  observer,
  replayPageSize,
}: WebhookParts): Webhooks {
  const store = new WebhookStore(db);
  const deliveries = new WebhookDeliveryStore(db);
  const receiver = new WebhookReceiver({
    find: (key) => store.find(key),
    acceptor,
    keepDelivery: (delivery) => deliveries.insert(delivery),
    keepDeadLetters: (letters) => deadLetters.insert(db, letters),
    secret,
    clock,
    textReader: loadTextReader,
    observer,
  });
  return {
    receiver,
    service: new WebhookService({
      db,
      store,
      deliveries,
      sources,
      receiver,
      secret,
      clock,
      randomBytes,
      onSweptEarly: (count) => {
        observer.sweptEarly(count);
      },
      ...(replayPageSize === undefined ? undefined : { replayPageSize }),
    }),
  };
}

const SWEEP_EVERY_MS = 10 * 60_000;

/** @param sweeps where old deliveries and secrets are deleted for as long as the program runs; null: elsewhere */
export async function startWebhooks(
  parts: WebhookParts,
  sweeps: Lifecycle | null,
  log: RepeatedLog,
): Promise<Webhooks> {
  const webhooks = createWebhooks(parts);
  if (sweeps !== null) await startSweeping(sweeps, webhooks, log);
  return webhooks;
}

async function startSweeping(lifecycle: Lifecycle, { service }: Webhooks, log: RepeatedLog): Promise<void> {
  const onError = (error: unknown): void => {
    log.warn(error, 'old deliveries of webhooks could not be deleted, which is tried again');
  };
  await lifecycle.start(
    'webhook sweep',
    () => {
      const periodic = new Periodic(() => service.sweep(), SWEEP_EVERY_MS, onError);
      periodic.start();
      void periodic.run();
      return periodic;
    },
    { drain: (periodic) => periodic.stop() },
  );
}
