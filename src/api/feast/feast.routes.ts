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
import { readMaterializeRequest, readOnlineFeaturesRequest, type Body } from './feast-request.model.js';
import { FeatureWrites } from './feature-writes.js';
import { OnlineFeatures } from './online-features.js';

const MAX_READ_BODY_BYTES = 512 * 1024;
const MAX_WRITE_BODY_BYTES = 16 * 1024 * 1024;
/** How long a request for materialization waits, ms. */
const MATERIALIZE_TIMEOUT_MS = 30_000;

export interface FeastRoutesOptions {
  readonly services: ApiServices;
  readonly watch: DefinitionsWatch;
  /** Told of errors that are defects of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}

/**
 * What Feast's feature server answers, so that its clients read from Weft and write to it: `POST /get-online-features`,
 * `/push`, `/write-to-online-store`, `/materialize` and `/materialize-incremental`. The key comes as Bearer token, or as
 * the user of the address (`http://<key>:@host`), which clients send as Basic.
 */
export function feastRoutes(options: FeastRoutesOptions): FastifyPluginCallback {
  return (app, _options, done) => {
    readRawBodies(app);
    answerFeastErrors(app, options.onDefect);
    app.decorateRequest('principal', null);
    const online = new OnlineFeatures(options);
    const writes = new FeatureWrites(options);
    const { materialization } = options.services;
    const reading: Access = { scopes: ['read'], maxBodyBytes: MAX_READ_BODY_BYTES };
    const writing: Access = { scopes: ['ingest'], maxBodyBytes: MAX_WRITE_BODY_BYTES };
    const add = (url: string, access: Access, handler: Handler): void => {
      addRoute(app, options, { url, ...access }, handler);
    };
    add('/get-online-features', reading, (body, principal) =>
      online.answer(readOnlineFeaturesRequest(body), principal),
    );
    add('/push', writing, async (body, principal) => JSON.stringify(await writes.push(body, principal)));
    add('/write-to-online-store', writing, async (body, principal) =>
      JSON.stringify(await writes.writeToOnlineStore(body, principal)),
    );
    for (const url of ['/materialize', '/materialize-incremental']) {
      const isIncremental = url.endsWith('incremental');
      add(url, { ...writing, maxBodyBytes: MAX_READ_BODY_BYTES }, async (body) => {
        const views = readMaterializeRequest(body, isIncremental);
        return JSON.stringify(await materialization.materialize(views, { timeoutMs: MATERIALIZE_TIMEOUT_MS }));
      });
    }
    done();
  };
}

interface Access {
  /** One of them is enough. */
  readonly scopes: readonly ApiScope[];
  readonly maxBodyBytes: number;
}

interface Route extends Access {
  readonly url: string;
}

/** JSON. */
type Handler = (body: Body, principal: Principal) => string | Buffer | Promise<string | Buffer>;

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
      return reply.type('application/json; charset=utf-8').send(answer);
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
