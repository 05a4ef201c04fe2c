import type { FastifyInstance } from 'fastify';

const LOOK_MS = 100;

/**
 * Lets a server that closes come to its end. Node ends the connections that are idle at that moment and no others: one
 * that becomes idle later would stay as long as clients may keep them, and one whose client sends half a request and
 * no more would stay for ever, since with the server its look for those that time out ends too.
 * @param drainMs what a request under way has to be answered in
 */
export function endConnections(app: FastifyInstance, drainMs: number): void {
  let look: NodeJS.Timeout | undefined;
  let end: NodeJS.Timeout | undefined;
  app.addHook('preClose', (done) => {
    look = setInterval(() => app.server.closeIdleConnections(), LOOK_MS);
    end = setTimeout(() => app.server.closeAllConnections(), drainMs);
    done();
  });
  app.addHook('onClose', (_app, done) => {
    clearInterval(look);
    clearTimeout(end);
    done();
  });
}
