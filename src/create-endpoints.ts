import { randomBytes } from 'node:crypto';
import { AddressGuard } from './activation/endpoints/address-guard.js';
import { EndpointClient } from './activation/endpoints/endpoint-client.js';
import type { EndpointTarget, PersonReader } from './activation/endpoints/endpoint.model.js';
import { ENDPOINT_LIMITS } from './activation/endpoints/endpoint.model.js';
import { EndpointRunner } from './activation/endpoints/endpoint-runner.js';
import { EndpointSender, type EndpointObserver } from './activation/endpoints/endpoint-sender.js';
import { EndpointService } from './activation/endpoints/endpoint.service.js';
import type { EventSealer } from './events/event-seal.model.js';
import type { BatchResult } from './pipeline-transaction.js';
import type { Clock } from './platform/clock.js';
import type { InstallationSecret } from './platform/installation-secret.js';
import type { Lifecycle } from './platform/lifecycle.js';
import type { Logger } from './platform/logger.js';
import type { Metrics } from './platform/metrics.js';
import type { Database } from './platform/postgres.js';
import type { RepeatedLog } from './platform/repeated-log.js';
import { VERSION } from './version.js';

export interface EndpointParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly secret: InstallationSecret;
  /** Networks that requests may go to beside public addresses. */
  readonly networks: readonly string[];
  readonly persons: PersonReader;
  /** Opens events of the log, to say which one did it. */
  readonly sealer: EventSealer;
  readonly observer: EndpointObserver;
  readonly onError: (error: unknown) => void;
  /** 0 to 1. */
  readonly random: () => number;
}

export interface Endpoints {
  readonly service: EndpointService;
  readonly sender: EndpointSender;
  readonly runner: EndpointRunner;
}

/** What keeps webhook endpoints and what sends to them, over one database; starts nothing. */
export function createEndpoints({
  db,
  clock,
  secret,
  networks,
  persons,
  sealer,
  observer,
  onError,
  random,
}: EndpointParts): Endpoints {
  const guard = new AddressGuard(networks);
  const userAgent = `Weft/${VERSION}`;
  const clients = new Map<string, { readonly made: string; readonly client: EndpointClient }>();
  /** Connections are kept for as long as the endpoint is as it was. */
  const clientOf = (key: string, target: EndpointTarget, concurrency: number): EndpointClient => {
    const made = JSON.stringify([target, concurrency]);
    const known = clients.get(key);
    if (known?.made === made) return known.client;
    known?.client.close();
    const client = new EndpointClient({ target, concurrency, guard, userAgent });
    clients.set(key, { made, client });
    return client;
  };
  const sender = new EndpointSender({ db, clock, secret, random, persons, sealer, clientOf, observer });
  const runner = new EndpointRunner({
    ...{ db, clock, sender, onError },
    onGone: (key) => {
      clients.get(key)?.client.close();
      clients.delete(key);
    },
  });
  const service = new EndpointService({
    ...{ db, clock, secret, guard, randomBytes },
    clientOf: (target) => new EndpointClient({ target, concurrency: 1, guard, userAgent }),
    onChanged: () => {
      runner.wake();
    },
  });
  return { service, sender, runner };
}

export interface EndpointStart extends Omit<EndpointParts, 'observer' | 'onError' | 'random'> {
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly log: RepeatedLog;
  /** Calls back after each committed batch of this process. */
  readonly listen: (listener: (batch: BatchResult) => void) => void;
}

/** @param runs where changes are sent for as long as the program runs; null: elsewhere */
export async function startEndpoints(
  { metrics, logger, log, listen, ...parts }: EndpointStart,
  runs: Lifecycle | null,
): Promise<Endpoints> {
  const endpoints = createEndpoints({
    ...parts,
    random: Math.random,
    observer: observeEndpoints(metrics, logger),
    onError: (error) => {
      log.warn(error, 'changes could not be sent to an endpoint; it is tried again');
    },
  });
  if (runs === null) return endpoints;
  const { runner } = endpoints;
  showStandings(metrics, runner);
  listen(({ changes }) => {
    if (changes.length > 0) runner.changed();
  });
  await runs.start(
    'endpoints',
    () => {
      runner.start();
    },
    { drain: () => runner.stop() },
  );
  return endpoints;
}

const OUTCOMES = ['delivered', 'down', 'refused', 'gone', 'hopeless'] as const;

function observeEndpoints(metrics: Metrics, logger: Logger): EndpointObserver {
  const endpoint = ENDPOINT_LIMITS.maxEndpoints;
  const attempts = metrics.counter('endpoint_attempts_total', 'Requests with a change, by how they ended.', {
    endpoint,
    outcome: OUTCOMES,
  });
  const durations = metrics.histogram('endpoint_attempt_seconds', 'How long such requests took.', { endpoint });
  const skipped = metrics.counter(
    'endpoint_skipped_total',
    'Changes that were not sent, because what the template requires is not known of the person.',
    { endpoint },
  );
  const died = metrics.counter('endpoint_dead_total', 'Changes that are tried no more.', { endpoint });
  return {
    attempted: (key, outcome, tookMs) => {
      attempts.add(1, key, outcome);
      durations.observe(tookMs / 1_000, key);
    },
    skipped: (key, count) => {
      skipped.add(count, key);
    },
    died: (key, count) => {
      died.add(count, key);
      logger.warn({ endpoint: key, changes: count }, 'changes could not be delivered and are tried no more');
    },
    paused: (key, because) => {
      logger.warn({ endpoint: key, reason: because }, 'an endpoint was paused');
    },
  };
}

function showStandings(metrics: Metrics, runner: EndpointRunner): void {
  const show = (name: string, help: string, of: (standing: EndpointRunner['standings'][number]) => number): void => {
    metrics.gauges(name, help, ['endpoint'], () => runner.standings.map((each) => [[each.key], of(each)] as const));
  };
  show('endpoint_behind_changes', 'Positions of the feed that an endpoint is behind.', ({ behind }) => behind);
  show('endpoint_waiting_changes', 'Changes that wait to be tried again.', ({ waiting }) => waiting);
  show('endpoint_dead_changes', 'Changes that are tried no more, and are kept.', ({ dead }) => dead);
  show('endpoint_down', 'Whether the receiver is left alone for a while.', ({ isDown }) => Number(isDown));
  show('endpoint_paused', 'Whether nothing is sent until it is resumed.', ({ isPaused }) => Number(isPaused));
}
