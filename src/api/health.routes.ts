import type { FastifyPluginCallback } from 'fastify';
import { WeftError } from '../platform/errors.js';
import type { Queryable } from '../platform/postgres.js';

/** Resolves to null where all is well, else to what is not; a rejection is not well either. */
export type ReadinessCheck = () => Promise<string | null>;

export interface HealthRoutesOptions {
  readonly db: Queryable;
  readonly readiness: Readonly<Record<string, ReadinessCheck>>;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  readonly version: string;
  /** A check that takes longer has failed. Default 1,000. */
  readonly checkTimeoutMs?: number;
}

/** For somebody who opens the address in a browser; `/graphql` shows there how to ask. */
const PLACES = {
  graphql: '/graphql',
  stream: '/graphql/stream',
  tracking: '/v1/{identify,track,page,screen,group,alias,batch}',
  health: '/healthz',
  readiness: '/readyz',
  metrics: '/metrics',
  documentation: 'README.md and docs/ in the folder of the program',
} as const;

/** What tells a Weft from anything else that may listen on a port. */
const NAME = 'weft';

/**
 * `/`: what this is and where to go. `/healthz`: the process answers, whatever it needs. `/readyz`: it can do its work;
 * 503 with what is missing. `/metrics`: Prometheus.
 */
export function healthRoutes({
  db,
  readiness,
  metrics,
  version,
  checkTimeoutMs = 1_000,
}: HealthRoutesOptions): FastifyPluginCallback {
  const checks: Readonly<Record<string, ReadinessCheck>> = {
    database: async () => {
      await db.query('SELECT 1');
      return null;
    },
    ...readiness,
  };
  return (app, _options, done) => {
    app.get('/', () => ({ name: NAME, version, ...PLACES }));
    app.get('/healthz', () => ({ status: 'ok', name: NAME, version }));
    // `/health` is where Feast's feature server has it.
    for (const url of ['/readyz', '/health'])
      app.get(url, async (_request, reply) => {
        const entries = await Promise.all(
          Object.entries(checks).map(async ([name, check]) => [name, await outcomeOf(check, checkTimeoutMs)] as const),
        );
        const isReady = entries.every(([, outcome]) => outcome === 'ok');
        return reply
          .code(isReady ? 200 : 503)
          .send({ status: isReady ? 'ok' : 'not ready', checks: Object.fromEntries(entries) });
      });
    app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()));
    done();
  };
}

/** `ok`, or one line that says what is wrong. Only a WeftError's message is fit for callers: others may hold addresses. */
async function outcomeOf(check: ReadinessCheck, timeoutMs: number): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<string>((resolve) => {
    timer = setTimeout(() => {
      resolve('no answer in time');
    }, timeoutMs);
  });
  const outcome = check().then(
    (problem) => problem ?? 'ok',
    (error: unknown) => (error instanceof WeftError ? error.message : 'failed'),
  );
  try {
    return await Promise.race([outcome, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
