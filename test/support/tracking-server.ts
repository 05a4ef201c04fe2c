import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { ApiKeyEntity } from '../../src/api/auth/api-key.entity.js';
import { ApiKeyService } from '../../src/api/auth/api-key.service.js';
import { ApiKeyStore } from '../../src/api/auth/api-key.store.js';
import { rateOf, RequestLimits, type Limiter } from '../../src/api/request-limits.js';
import { trackingRoutes } from '../../src/api/tracking.routes.js';
import type { TrackingDependencies } from '../../src/api/tracking.routes.js';
import { AcceptService } from '../../src/events/accept.service.js';
import type { AcceptObserver } from '../../src/events/accept.service.js';
import { DeadLetterStore } from '../../src/events/dead-letter.store.js';
import { PostgresEventLog } from '../../src/events/event-log.postgres.js';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { CachedIdentifierPolicy } from '../../src/identity/identifier-policy.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { NO_SECRET } from '../../src/platform/installation-secret.js';
import type { Clock } from '../../src/platform/clock.js';
import { Metrics } from '../../src/platform/metrics.js';
import type { Database } from '../../src/platform/postgres.js';
import { RateLimiter } from '../../src/platform/rate-limiter.js';
import { SourceEntity } from '../../src/sources/source.entity.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';

/** The tables that {@link trackingServices} needs as entities. */
export const TRACKING_ENTITIES = [SourceEntity, ApiKeyEntity];

const PARTITIONS = 16;

/** Everything behind the tracking API, on a real database. */
export function trackingServices(db: Database, clock: Clock) {
  const log = new PostgresEventLog(db, clock, PARTITIONS);
  const lost: unknown[] = [];
  const observer: AcceptObserver = {
    accepted: () => undefined,
    duplicates: () => undefined,
    refused: () => undefined,
    deadLettersLost: (_source, _count, error) => lost.push(error),
  };
  const policy = new CachedIdentifierPolicy(DEFAULT_IDENTITY_RULES);
  return {
    log,
    /** Errors met while writing dead letters. */
    lost,
    accept: new AcceptService({ log, policy, deadLetters: new DeadLetterStore(), db, clock, observer }),
    sources: new SourceService(new SourceStore(db.dataSource), clock),
    keys: new ApiKeyService({
      store: new ApiKeyStore(db.dataSource),
      clock,
      secret: NO_SECRET,
      randomBytes,
      onLastUsedError: (error) => lost.push(error),
    }),
    clock,
  };
}

export type TrackingServices = ReturnType<typeof trackingServices>;

export interface TrackingServer {
  readonly app: FastifyInstance;
  readonly port: number;
  readonly url: string;
  /** Errors that were answered with 500. */
  readonly defects: unknown[];
}

const UNLIMITED: Limiter = { take: () => 0, giveBack: () => undefined };

export interface TrackingServerOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** ms to wait; default: no limit. */
  readonly limit?: (key: string, tokens: number) => number;
  readonly metrics?: Metrics;
  /** Before listening. */
  readonly prepare?: (app: FastifyInstance) => void;
}

/** A Fastify that listens on loopback with the tracking API alone. */
export async function startTrackingServer(
  services: Omit<TrackingDependencies, 'limits' | 'onDefect'>,
  options: TrackingServerOptions = {},
): Promise<TrackingServer> {
  const app = Fastify({ forceCloseConnections: true });
  const defects: unknown[] = [];
  options.prepare?.(app);
  await app.register(
    trackingRoutes({
      ...services,
      limits: new RequestLimits({
        events: { ...UNLIMITED, take: options.limit ?? UNLIMITED.take },
        requests: UNLIMITED,
        sources: new RateLimiter({ ...rateOf(1), maxKeys: 100 }, services.clock),
        metrics: options.metrics ?? new Metrics({ defaults: false }),
      }),
      onDefect: (error) => defects.push(error),
    }),
  );
  await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  const { port } = app.server.address() as AddressInfo;
  return { app, port, url: `http://127.0.0.1:${String(port)}`, defects };
}

/** Every event after `afterPos`. */
export async function readLog(log: PostgresEventLog, afterPos: number): Promise<LoggedEvent[]> {
  const parts = Array.from({ length: PARTITIONS }, (_, part) => part);
  const events: LoggedEvent[] = [];
  for (let pos = afterPos; ;) {
    const batch = await log.readBatch({ afterPos: pos, parts, limit: 1000, maxBytes: 1_000_000 });
    events.push(...batch.events);
    if (batch.scannedPos === pos) return events;
    pos = batch.scannedPos;
  }
}
