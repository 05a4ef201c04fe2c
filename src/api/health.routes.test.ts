import Fastify, { type FastifyInstance } from 'fastify';
import { describe, expect, it } from 'vitest';
import { WeftError } from '../platform/errors.js';
import { healthRoutes, type HealthRoutesOptions } from './health.routes.js';

type Query = HealthRoutesOptions['db']['query'];

async function newServer(readiness: HealthRoutesOptions['readiness'], query?: Query): Promise<FastifyInstance> {
  const app = Fastify();
  const db = { query: query ?? (() => Promise.resolve([])) } as HealthRoutesOptions['db'];
  const metrics = { contentType: 'text/plain', text: () => Promise.resolve('') };
  await app.register(healthRoutes({ db, readiness, metrics, version: '1.2.3', checkTimeoutMs: 5 }));
  return app;
}

async function readiness(app: FastifyInstance): Promise<{ code: number; status: string; checks: unknown }> {
  const response = await app.inject('/readyz');
  return { code: response.statusCode, ...response.json<{ status: string; checks: unknown }>() };
}

const never = (): Promise<never> => new Promise(() => undefined);

describe('readiness', () => {
  it('is told with what was looked at', async () => {
    const app = await newServer({ worker: () => Promise.resolve(null), redis: () => Promise.resolve(null) });
    expect(await readiness(app)).toEqual({
      code: 200,
      status: 'ok',
      checks: { database: 'ok', worker: 'ok', redis: 'ok' },
    });
  });

  it('is refused with the reason of each that is not in order', async () => {
    const app = await newServer({
      worker: () => Promise.resolve('the last 7 attempts failed'),
      redis: () => Promise.reject(new WeftError('UNAVAILABLE', 'Redis cannot be reached')),
      silent: never,
      fine: () => Promise.resolve(null),
    });
    expect(await readiness(app)).toEqual({
      code: 503,
      status: 'not ready',
      checks: {
        database: 'ok',
        worker: 'the last 7 attempts failed',
        redis: 'Redis cannot be reached',
        silent: 'no answer in time',
        fine: 'ok',
      },
    });
  });

  it('keeps to itself what an error of others says', async () => {
    const app = await newServer({}, () => Promise.reject(new Error('connect 10.0.0.7:5432')));
    expect(await readiness(app)).toEqual({ code: 503, status: 'not ready', checks: { database: 'failed' } });
  });
});

describe('liveness', () => {
  it('does not depend on anything else', async () => {
    const app = await newServer({ redis: never }, never);
    const response = await app.inject('/healthz');
    expect([response.statusCode, response.json()]).toEqual([200, { status: 'ok', name: 'weft', version: '1.2.3' }]);
  });
});
