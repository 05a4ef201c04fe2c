import type { FastifyInstance } from 'fastify';
import { nearestName } from '../platform/near-names.js';

/** Methods that a route may have here. */
const METHODS = ['GET', 'POST', 'PUT', 'DELETE'] as const;
const MAX_SHOWN = 100;

/**
 * Answers requests to paths that are not there (404, with the nearest one that is) and those with a method that the path
 * does not take (405 with `Allow`, RFC 9110 §15.5.6), in the form of the tracking API. To be called before routes are
 * added.
 */
export function answerUnknownRoutes(app: FastifyInstance): void {
  const paths = new Set<string>();
  app.addHook('onRoute', ({ url }) => {
    paths.add(url);
  });
  app.setNotFoundHandler((request, reply) => {
    const { method } = request;
    const path = request.url.split('?', 1)[0] ?? '';
    const allowed = METHODS.filter((known) => app.hasRoute({ method: known, url: path }));
    if (allowed.length > 0) {
      const list = allowed.join(', ');
      return reply
        .code(405)
        .header('allow', list)
        .send({ success: false, code: 'BAD_REQUEST', reason: `this path takes no ${method}`, hint: `use ${list}` });
    }
    const near = nearestName(path, paths);
    const shown = path.length <= MAX_SHOWN ? path : `${path.slice(0, MAX_SHOWN)}…`;
    return reply.code(404).send({
      success: false,
      code: 'NOT_FOUND',
      reason: `there is nothing at ${shown}`,
      hint: near === undefined ? 'GET / says what there is' : `did you mean ${near}?`,
    });
  });
}
