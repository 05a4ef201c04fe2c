import type { FastifyInstance } from 'fastify';
import { retryAfterSeconds, toHttpFailure } from './http-errors.js';

/**
 * Answers errors in the form of the tracking API: `{ success: false, code, reason, hint?, requestId? }`, with
 * `Retry-After` where a retry makes sense. `onDefect` is told of what callers see only the id of.
 */
export function answerErrors(app: FastifyInstance, onDefect: (error: unknown, requestId: string) => void): void {
  app.setErrorHandler((error, request, reply) => {
    const { status, code, reason, hint, retryAfterMs, isDefect } = toHttpFailure(error);
    if (isDefect) onDefect(error, request.id);
    if (retryAfterMs !== undefined) reply.header('retry-after', retryAfterSeconds(retryAfterMs));
    const id = isDefect ? { requestId: request.id } : {};
    return reply.code(status).send({ success: false, code, reason, ...(hint === undefined ? {} : { hint }), ...id });
  });
}
