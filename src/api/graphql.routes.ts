import type { IncomingMessage } from 'node:http';
import type { ApolloServer } from '@apollo/server';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { WeftError } from '../platform/errors.js';
import { hasScope, type Principal } from './auth/api-key.model.js';
import { ApiContext } from './graphql/api-context.js';
import type { ErrorPresenter } from './graphql/present-error.js';
import { isNestedTooDeep, NESTED_TOO_DEEP } from './graphql/query-limits.js';
import { sendPage, wantsPage } from './graphiql.routes.js';
import { answerWarm, type WarmQueries } from './graphql/warm-queries.js';
import { toHttpFailure } from './http-errors.js';
import type { ApiServices } from './api-services.js';
import type { DefinitionsWatch } from './definitions-watch.js';

export const GRAPHQL_LIMITS = {
  maxBodyBytes: 256 * 1024,
  /** An admin's: a model of 64 MB in base64, with its manifest. */
  maxAdminBodyBytes: 96 * 1024 * 1024,
} as const;

export interface GraphqlRoutesOptions {
  readonly apollo: ApolloServer<ApiContext>;
  readonly warm: WarmQueries;
  readonly services: ApiServices;
  readonly watch: DefinitionsWatch;
  readonly presenter: ErrorPresenter;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; set where the routes demand a key. */
    principal: Principal | null;
  }
}

/** `/graphql` over HTTP. The key is checked before the body is read. */
export function graphqlRoutes(options: GraphqlRoutesOptions): FastifyPluginAsync {
  return async (app) => {
    const { apollo, warm, services, watch } = options;
    /** Requests whose compiled query gave errors. */
    const failed = new WeakSet<FastifyRequest>();
    await apollo.start();
    demandKey(app, services);
    readJson(app);
    answerErrors(app, options.presenter);
    const handler = fastifyApolloHandler(apollo, {
      context: async (request: FastifyRequest) => {
        const context = contextOf(request, services, watch);
        return Promise.resolve(failed.has(request) ? context.anew() : context);
      },
    });
    app.route({
      method: ['GET', 'POST'],
      url: '/graphql',
      handler: async (request, reply) => {
        if (wantsPage(request)) return sendPage(reply);
        const { method, body, headers } = request;
        const known = warm.find({ method, body, accept: headers.accept });
        if (known !== null) {
          const text = await answerWarm(known, contextOf(request, services, watch));
          if (text !== null) return reply.header('content-type', known.contentType).send(text);
          failed.add(request);
        }
        refuseDeepNesting(method === 'GET' ? request.query : body);
        const answer: unknown = await handler.call(app, request, reply);
        if (reply.statusCode === 200) warm.learnContentType(headers.accept, reply.getHeader('content-type'));
        if (reply.statusCode === 400 && !acceptsResponseJson(request) && isFaultOfQuery(answer)) reply.code(200);
        return answer;
      },
    });
    app.addHook('onClose', async () => {
      await apollo.stop();
    });
  };
}

/** Apollo would take the exhausted stack of the parser for a defect. */
function refuseDeepNesting(request: unknown): void {
  const { query } = (request ?? {}) as { query?: unknown };
  if (typeof query === 'string' && isNestedTooDeep(query)) {
    throw new WeftError('BAD_REQUEST', NESTED_TOO_DEEP, { where: 'query', hint: 'ask for less in one request' });
  }
}

/** Answers 401 to requests without a valid key and 429 to those that come too often, and notes who asks on the others. */
export function demandKey(app: FastifyInstance, services: ApiServices): void {
  app.decorateRequest('principal', null);
  app.addHook('onRequest', (request, _reply, done) => {
    if (wantsPage(request)) {
      done();
      return;
    }
    const admit = (principal: Principal | null): void => {
      request.principal = principal;
      done(principal === null ? unauthenticated() : services.limits.refusalOfRequest(principal));
    };
    const secret = bearerOf(request.headers.authorization);
    const known = secret === null ? null : services.credentials.verifyKnown(secret);
    if (known !== undefined) admit(known);
    else services.credentials.verify(secret ?? '').then(admit, done);
  });
}

export function contextOf(request: FastifyRequest, services: ApiServices, watch: DefinitionsWatch): ApiContext {
  const { principal } = request;
  if (principal === null) throw unauthenticated();
  const { authorization } = request.headers;
  return new ApiContext(
    services,
    watch,
    principal,
    async () => (await services.credentials.verify(bearerOf(authorization) ?? '')) !== null,
  );
}

export function unauthenticated(): WeftError {
  return new WeftError('UNAUTHENTICATED', 'the API key is missing or not valid', {
    where: 'authorization',
    hint: 'send the header "Authorization: Bearer <key>"',
  });
}

/** RFC 6750 §2.1. Null for anything else. */
export function bearerOf(header: string | undefined): string | null {
  return /^bearer +(\S+) *$/i.exec(header ?? '')?.[1] ?? null;
}

const FAULTS_OF_QUERIES = [
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'BAD_USER_INPUT',
];

/**
 * Whether a well-formed request holds a query that cannot be executed. Where the answer is `application/json`, that is
 * told with 200, because a client cannot tell a 400 of ours from one of a proxy (GraphQL over HTTP, "application/json").
 */
function isFaultOfQuery(answer: unknown): boolean {
  if (typeof answer !== 'string') return false;
  const { errors } = JSON.parse(answer) as { errors?: { extensions?: { code?: string } }[] };
  return errors?.every(({ extensions }) => FAULTS_OF_QUERIES.includes(extensions?.code ?? '')) ?? false;
}

function acceptsResponseJson({ headers }: FastifyRequest): boolean {
  return (headers.accept ?? '').includes('application/graphql-response+json');
}

/** JSON bodies only, each within the bound of its key. */
export function readJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', async (request: FastifyRequest, payload: IncomingMessage) => {
    const isAdmin = request.principal !== null && hasScope(request.principal, 'admin');
    const maxBytes = isAdmin ? GRAPHQL_LIMITS.maxAdminBodyBytes : GRAPHQL_LIMITS.maxBodyBytes;
    const text = await readText(payload, maxBytes);
    try {
      return JSON.parse(text) as unknown;
    } catch {
      // The parser's message quotes the body.
      throw new WeftError('BAD_REQUEST', 'the body is not JSON', { where: 'body', hint: 'send one JSON object' });
    }
  });
}

/** By events: iterating over a stream costs more than the rest of reading a small body. */
function readText(payload: IncomingMessage, maxBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    payload.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) {
        chunks.push(chunk);
        return;
      }
      payload.removeAllListeners('data').pause();
      const error = new WeftError('PAYLOAD_TOO_LARGE', `the body is larger than ${String(maxBytes)} bytes`, {
        where: 'body',
        hint: 'pass less in one request',
      });
      reject(error);
    });
    payload.on('end', () => {
      const [only] = chunks;
      resolve((chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)).toString('utf8'));
    });
    payload.on('error', reject);
  });
}

const RESPONSE_JSON = 'application/graphql-response+json; charset=utf-8';

/** Refusals that come before GraphQL, in the form that GraphQL clients read. */
export function answerErrors(app: FastifyInstance, presenter: ErrorPresenter): void {
  app.setErrorHandler((error, request, reply: FastifyReply) => {
    const { status, code, reason, hint, retryAfterS, isDefect } = toHttpFailure(error);
    const errorId = isDefect ? presenter.newErrorId() : undefined;
    if (errorId !== undefined) presenter.onDefect(error, errorId);
    if (status === 401) reply.header('www-authenticate', 'Bearer');
    // What is left of a body that is too large is not read.
    if (status === 413) reply.header('connection', 'close');
    if (retryAfterS !== undefined) reply.header('retry-after', String(retryAfterS));
    const extensions = { code, ...(hint === undefined ? {} : { hint }), ...(errorId === undefined ? {} : { errorId }) };
    return reply
      .code(status)
      .type(acceptsResponseJson(request) ? RESPONSE_JSON : 'application/json; charset=utf-8')
      .send(JSON.stringify({ errors: [{ message: reason, extensions }] }));
  });
}
