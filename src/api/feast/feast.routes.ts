import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import { WeftError } from '../../platform/errors.js';
import { hasScope, type ApiScope, type Principal } from '../auth/api-key.model.js';
import { secretOfHeader } from '../auth/ingest-key.js';
import { unauthenticated } from '../auth/unauthenticated.js';
import type { ApiServices } from '../api-services.js';
import { decodeBody } from '../decode-body.js';
import type { DefinitionsWatch } from '../definitions-watch.js';
import { readRawBodies } from '../raw-bodies.js';
import { answerFeastErrors } from './answer-feast-errors.js';
import { readOnlineFeaturesRequest } from './feast-request.model.js';
import { OnlineFeatures } from './online-features.js';

const MAX_READ_BODY_BYTES = 512 * 1024;

export interface FeastRoutesOptions {
  readonly services: ApiServices;
  readonly watch: DefinitionsWatch;
  /** Told of errors that are defects of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}

/**
 * What Feast's feature server answers, so that its clients read from Weft: `POST /get-online-features`. The key comes as
 * Bearer token, or as the user of the address (`http://<key>@host`), which clients send as Basic.
 */
export function feastRoutes(options: FeastRoutesOptions): FastifyPluginCallback {
  return (app, _options, done) => {
    readRawBodies(app);
    answerFeastErrors(app, options.onDefect);
    app.decorateRequest('principal', null);
    const online = new OnlineFeatures(options);
    addRoute(
      app,
      options,
      { url: '/get-online-features', scopes: ['read'], maxBodyBytes: MAX_READ_BODY_BYTES },
      (body, principal) => online.answer(readOnlineFeaturesRequest(body), principal),
    );
    done();
  };
}

interface Route {
  readonly url: string;
  /** One of them is enough. */
  readonly scopes: readonly ApiScope[];
  readonly maxBodyBytes: number;
}

/** JSON, or nothing to be said. */
type Handler = (
  body: Readonly<Record<string, unknown>>,
  principal: Principal,
) => string | null | Promise<string | null>;

function addRoute(app: FastifyInstance, { services }: FeastRoutesOptions, route: Route, handler: Handler): void {
  const { url, maxBodyBytes } = route;
  app.post(
    url,
    {
      bodyLimit: maxBodyBytes,
      onRequest: (request, _reply, done) => {
        const secret = secretOfHeader(request.headers.authorization ?? '');
        const known = secret === null ? null : services.credentials.verifyKnown(secret);
        if (known !== undefined) done(refusalOf(request, known, route, services));
        else {
          services.credentials
            .verify(secret ?? '')
            .then((principal) => refusalOf(request, principal, route, services))
            .then(done, done);
        }
      },
    },
    async (request: FastifyRequest, reply: FastifyReply) => {
      const { principal, body: raw } = request;
      if (principal === null) throw unauthenticated();
      const body = await decodeBody(Buffer.isBuffer(raw) ? raw : Buffer.alloc(0), maxBodyBytes);
      const answer = await handler(body, principal);
      return reply.type('application/json; charset=utf-8').send(answer ?? 'null');
    },
  );
}

/** Undefined: let in. */
function refusalOf(
  request: FastifyRequest,
  principal: Principal | null,
  { url, scopes }: Route,
  { limits }: ApiServices,
): Error | undefined {
  request.principal = principal;
  if (principal === null) return unauthenticated();
  if (scopes.some((scope) => hasScope(principal, scope))) return limits.refusalOfRequest(principal);
  const wanted = scopes.join(' or ');
  return new WeftError('FORBIDDEN', `this key may not use ${url}`, { hint: `use a key with the scope ${wanted}` });
}
