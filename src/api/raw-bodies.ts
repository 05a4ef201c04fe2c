import type { FastifyInstance } from 'fastify';

/** Makes `request.body` the bytes as they came, whatever the content type says; of one request without a body undefined. */
export function readRawBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addHook('onRequest', (request, _reply, done) => {
    // The framework answers 415 to a malformed type before any parser is asked; here the type means nothing.
    request.headers['content-type'] = 'application/octet-stream';
    done();
  });
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
}
