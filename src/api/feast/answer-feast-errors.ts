import type { FastifyInstance } from 'fastify';
import { retryAfterSeconds, toHttpFailure, type HttpFailure } from '../http-errors.js';

/** The exceptions that Feast's client raises again, by the field that names what is not there. */
const NOT_FOUND_CLASSES: Readonly<Record<string, string>> = {
  features: 'FeatureViewNotFoundException',
  feature_views: 'FeatureViewNotFoundException',
  feature_view_name: 'FeastObjectNotFoundException',
  feature_service: 'FeatureServiceNotFoundException',
  push_source_name: 'PushSourceNotFoundException',
};
const UNPROCESSABLE = 422;

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/**
 * Answers errors as Feast's feature server does: 404 and 403 as a JSON text that names the exception, which Feast's
 * client raises, 422 as `{"detail": [{type, loc, msg}]}`, others as `{"detail": …}`. Weft's own code, where and hint stand
 * beside these.
 */
export function answerFeastErrors(app: FastifyInstance, onDefect: (error: unknown, requestId: string) => void): void {
  app.setErrorHandler((error, request, reply) => {
    const failure = toHttpFailure(error);
    if (failure.isDefect) onDefect(error, request.id);
    if (failure.retryAfterMs !== undefined) reply.header('retry-after', retryAfterSeconds(failure.retryAfterMs));
    if (failure.status === 401) reply.header('www-authenticate', 'Bearer');
    const { status, body } = asFeast(failure, failure.isDefect ? request.id : undefined);
    return reply.code(status).type('application/json; charset=utf-8').send(JSON.stringify(body));
  });
}

function asFeast(failure: HttpFailure, requestId: string | undefined): Answer {
  const { status, code, reason, where, hint } = failure;
  const message = hint === undefined ? reason : `${reason}: ${hint}`;
  const own = { code, where, hint, requestId };
  const [field = ''] = (where ?? '').split('.');
  const missing = NOT_FOUND_CLASSES[field] ?? 'FeastObjectNotFoundException';
  if (status === 404) {
    // Feast itself answers so of push sources.
    const isPush = missing === 'PushSourceNotFoundException';
    return { status: isPush ? UNPROCESSABLE : status, body: exception(missing, message, own) };
  }
  if (status === 403) return { status, body: exception('FeastPermissionError', message, own) };
  if (status === 400 || status === UNPROCESSABLE) {
    const loc = ['body', ...(where ?? '').split('.').filter((part) => part !== '' && part !== 'body')];
    return { status: UNPROCESSABLE, body: { detail: [{ type: 'value_error', loc, msg: message }], ...own } };
  }
  return { status, body: { detail: message, ...own } };
}

/** A text that holds JSON: what Feast's client reads. */
function exception(name: string, message: string, own: object): string {
  return JSON.stringify({ module: 'feast.errors', class: name, message, ...own });
}
