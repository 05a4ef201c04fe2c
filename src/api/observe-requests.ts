import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify';
import type { CounterHandle, HistogramHandle, Metrics } from '../platform/metrics.js';
import { GRAPHQL_OUTCOMES, outcomeOf } from './graphql-outcome.js';

/** More than there are routes; the templates come from the program, never from a caller. */
const MAX_ROUTES = 100;
const STATUS_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx'] as const;
const UNMATCHED = 'unmatched';

type Observe = (request: FastifyRequest, reply: FastifyReply, payload: unknown) => void;

const startedMs = Symbol('startedMs');

declare module 'fastify' {
  interface FastifyRequest {
    [startedMs]: number;
  }
}

/**
 * Measures every request from its headers to its answer by the template of its route, and counts GraphQL operations over
 * HTTP by outcome. Streams are not measured: they end when their client leaves. To be called before routes are added.
 */
export function observeRequests(app: FastifyInstance, metrics: Pick<Metrics, 'counter' | 'histogram'>): void {
  const durations = metrics.histogram(
    'http_request_duration_seconds',
    'From the headers of a request to its answer, by template of the route and class of the status.',
    { route: MAX_ROUTES, status: STATUS_CLASSES },
  );
  const operations = metrics.counter(
    'graphql_operations_total',
    'GraphQL operations over HTTP, by outcome; a defect is a fault of ours.',
    { outcome: GRAPHQL_OUTCOMES },
  );
  app.decorateRequest(startedMs, 0);
  app.addHook('onRequest', (request, _reply, done) => {
    request[startedMs] = performance.now();
    done();
  });
  const observeUnmatched = observerOf(durations, UNMATCHED);
  app.addHook('onSend', (request, reply, payload, done) => {
    if (request.is404) observeUnmatched(request, reply, payload);
    done(null, payload);
  });
  // A hook for each route knows its series; looking it up for each request would cost more than all the rest.
  app.addHook('onRoute', (route: RouteOptions) => {
    const observe = observerOf(durations, route.url);
    const count = route.url === '/graphql' ? operationCounter(operations) : null;
    const before = route.onSend === undefined ? [] : [route.onSend].flat();
    route.onSend = [
      ...before,
      (request, reply, payload, done) => {
        observe(request, reply, payload);
        count?.(request, reply, payload);
        done(null, payload);
      },
    ];
  });
}

function observerOf(durations: HistogramHandle, route: string): Observe {
  const byClass = STATUS_CLASSES.map((status) => durations.series(route, status));
  return (request, { statusCode }) => {
    const series = byClass[Math.floor(statusCode / 100) - 1];
    series?.observe((performance.now() - request[startedMs]) / 1_000);
  };
}

function operationCounter(operations: CounterHandle): Observe {
  const byOutcome = new Map(GRAPHQL_OUTCOMES.map((outcome) => [outcome, operations.series(outcome)]));
  return (_request, reply, payload) => {
    // What a browser gets that was pointed here by hand is a page, no operation.
    if (typeof payload !== 'string' || !isJson(reply)) return;
    byOutcome.get(outcomeOf(reply.statusCode, payload))?.add(1);
  };
}

function isJson(reply: FastifyReply): boolean {
  const type = reply.getHeader('content-type');
  return typeof type === 'string' && type.includes('json');
}
