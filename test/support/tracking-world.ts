import type { EventAcceptor } from '../../src/events/accept.model.js';
import type { LoggedEvent } from '../../src/events/event.model.js';
import { ManualClock } from '../../src/platform/clock.js';
import type { Database } from '../../src/platform/postgres.js';
import { RateLimiter } from '../../src/platform/rate-limiter.js';
import { createTestDatabase } from './database.js';
import { readLog, startTrackingServer, TRACKING_ENTITIES, trackingServices } from './tracking-server.js';
import type { TrackingServer, TrackingServices } from './tracking-server.js';

export const NOW = Date.UTC(2026, 0, 31, 12);

export interface TrackingAnswer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

export interface TrackingWorld {
  readonly database: Database;
  readonly services: TrackingServices;
  readonly server: TrackingServer;
  readonly clock: ManualClock;
  /** Secrets: of a key that sends for the source `shop`, of one that reads, of one that may send 10 events a second. */
  readonly writeKey: string;
  readonly readKey: string;
  readonly limitedKey: string;
  /** Begins a test: nothing fails, and the log counts from here. */
  begin(): Promise<void>;
  /** What accepting events fails with from now on. */
  failWith(error: Error): void;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<TrackingAnswer>;
  logged(): Promise<LoggedEvent[]>;
  close(): Promise<void>;
}

export function basic(secret: string): string {
  return `Basic ${Buffer.from(`${secret}:`).toString('base64')}`;
}

export function aTrackCall(messageId: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return { type: 'track', event: 'x', userId: 'ann', messageId, ...more };
}

/** The tracking API alone, on a database of its own. */
export async function createTrackingWorld(): Promise<TrackingWorld> {
  const test = await createTestDatabase({ entities: TRACKING_ENTITIES });
  const clock = new ManualClock(NOW);
  const services = trackingServices(test.database, clock);
  const source = await services.sources.create({ key: 'shop', kind: 'http' });
  const { secret: writeKey } = await services.keys.create({ name: 'shop', scopes: ['ingest'], sourceId: source.id });
  const { secret: readKey } = await services.keys.create({ name: 'cms', scopes: ['read'] });
  let failure: Error | null = null;
  let startPos = 0;
  const accept: EventAcceptor = {
    accept: (...call) => (failure === null ? services.accept.accept(...call) : Promise.reject(failure)),
  };
  const limiter = new RateLimiter({ tokensPerSecond: 10, burstTokens: 5, maxKeys: 10 }, clock);
  const limited = await services.keys.create({ name: 'limited', scopes: ['ingest'], sourceId: source.id });
  const limit = (key: string, tokens: number): number => (key === limited.key.id ? limiter.take(key, tokens) : 0);
  const server = await startTrackingServer({ ...services, accept }, { limit });
  return {
    database: test.database,
    services,
    server,
    clock,
    writeKey,
    readKey,
    limitedKey: limited.secret,
    begin: async () => {
      failure = null;
      startPos = (await services.log.head()).pos;
    },
    failWith: (error) => {
      failure = error;
    },
    post: async (path, body, headers = {}) => {
      const isRaw = typeof body === 'string' || body instanceof Uint8Array;
      const response = await fetch(`${server.url}/v1/${path}`, {
        method: 'POST',
        body: isRaw ? (body as string) : JSON.stringify(body),
        headers: { authorization: basic(writeKey), 'content-type': 'application/json', ...headers },
      });
      return { status: response.status, body: await response.json(), headers: response.headers };
    },
    logged: () => readLog(services.log, startPos),
    close: async () => {
      await server.app.close();
      await services.keys.drain();
      await test.drop();
    },
  };
}
