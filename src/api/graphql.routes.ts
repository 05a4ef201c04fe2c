import type { IncomingMessage } from 'node:http';
import type { ApolloServer } from '@apollo/server';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import { GraphQLError } from 'graphql';
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { WeftError } from '../platform/errors.js';
import { hasScope, type Principal } from './auth/api-key.model.js';
import { unauthenticated } from './auth/unauthenticated.js';
import { admitOrigin, answerPreflight, cacheable, EdgeOrigins, letPagesRead } from './edge/edge-http.js';
import { secretOf } from './auth/secret-of-request.js';
import { NOT_PERSISTED, type Admission } from './graphql/admission.js';
import { ApiContext } from './graphql/api-context.js';
import { KEY_SHOWN_HEADER } from './graphql/apollo.js';
import { isNamed, type Asked } from './graphql/asked.model.js';
import { askedOverHttp, rewriteForApollo } from './graphql/asked-over-http.js';
import type { ErrorPresenter } from './graphql/present-error.js';
import { isNestedTooDeep, NESTED_TOO_DEEP } from './graphql/query-limits.js';
import { ReplyTurn } from './reply-turn.js';
import { sendPage, wantsPage } from './graphiql.routes.js';
import { answerWarm, type WarmQueries, type WarmQuery } from './graphql/warm-queries.js';
import { retryAfterSeconds, toHttpFailure } from './http-errors.js';
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
  readonly admission: Admission;
  readonly services: ApiServices;
  readonly watch: DefinitionsWatch;
  readonly presenter: ErrorPresenter;
  /** Something in the background failed and is tried again. */
  readonly onError: (error: unknown) => void;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; set where the routes demand a key. */
    principal: Principal | null;
  }
}

/** `/graphql` over HTTP. The key and the origin of the page are checked before the body is read. */
export function graphqlRoutes(options: GraphqlRoutesOptions): FastifyPluginAsync {
  return async (app) => {
    const { apollo, services } = options;
    await apollo.start();
    demandKey(app, services);
    readJson(app);
    answerErrors(app, options.presenter);
    const answer = answering(options);
    app.route({
      method: ['GET', 'POST'],
      url: '/graphql',
      handler: (request, reply) => (wantsPage(request) ? sendPage(reply) : answer(request, reply)),
    });
    const origins = new EdgeOrigins(services.keys, services.clock, options.onError);
    app.options('/graphql', (request, reply) => answerPreflight(request, reply, origins));
    app.addHook('onClose', async () => {
      await apollo.stop();
    });
  };
}

/** A promise of what is to be sent; undefined where the answer is there already, and is sent with others. */
type AnswerRequest = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown> | undefined;

/** A request whose document was admitted, or that names none. */
interface Admitted {
  readonly asked: Asked | null;
  readonly text: string | undefined;
  readonly context: ApiContext;
}

/**
 * The two ways to an answer: by a compiled query, or by Apollo Server. Both take the text that was admitted, and what
 * ends in an error on the first is answered on the second.
 */
function answering(options: GraphqlRoutesOptions): AnswerRequest {
  const { warm, admission, services, watch } = options;
  const byApollo = answeringByApollo(options);
  const turn = new ReplyTurn();
  return (request, reply) => {
    const asked = askedOverHttp(request);
    const context = contextOf(request, services, watch);
    const text = asked === null ? undefined : admission.textOf(asked, context.principal);
    const admitted = { asked, text, context };
    const known = asked === null || text === undefined ? null : warm.find(text, asked, request.headers.accept);
    if (known === null) return byApollo(request, reply, admitted);
    const body = answerWarm(known, context);
    if (typeof body === 'string') {
      turn.add(reply, asWarm(request, reply, context, known, body));
      return undefined;
    }
    return Promise.resolve(body).then((late) =>
      late === null
        ? byApollo(request, reply, { ...admitted, context: context.anew() })
        : asWarm(request, reply, context, known, late),
    );
  };
}

/** The body to be sent, by a compiled query. */
function asWarm(
  request: FastifyRequest,
  reply: FastifyReply,
  { caching }: ApiContext,
  { contentType }: WarmQuery,
  body: string,
): string {
  reply.header('content-type', contentType);
  return cacheable(request, reply, caching.caching, body);
}

function answeringByApollo({
  apollo,
  warm,
  admission,
  services,
  watch,
}: GraphqlRoutesOptions): (request: FastifyRequest, reply: FastifyReply, admitted: Admitted) => Promise<unknown> {
  const contexts = new WeakMap<FastifyRequest, ApiContext>();
  const handle = fastifyApolloHandler(apollo, {
    context: async (request: FastifyRequest) =>
      Promise.resolve(contexts.get(request) ?? contextOf(request, services, watch)),
  });
  return async (request, reply, { asked, text, context }) => {
    const { accept } = request.headers;
    if (asked !== null && text !== undefined) {
      refuseDeepNesting(text);
      // Apollo takes it from there; what is not valid it refuses itself.
      admission.documentOf(text, !context.has('read'));
      if (isNamed(asked)) rewriteForApollo(request, asked, text);
    }
    contexts.set(request, context);
    request.headers[KEY_SHOWN_HEADER] = 'yes';
    const body: unknown = await handle.call(request.server, request, reply);
    if (reply.statusCode === 200) warm.learnContentType(accept, reply.getHeader('content-type'));
    if (reply.statusCode === 400 && !acceptsResponseJson(request) && isFaultOfQuery(body)) reply.code(200);
    if (typeof body !== 'string') return body;
    if (hasErrors(body)) return context.has('read') ? body : withoutSuggestions(body);
    return cacheable(request, reply, context.caching.caching, body);
  };
}

/** Answers begin with their errors. */
function hasErrors(body: string): boolean {
  return body.startsWith('{"errors":');
}

/** Who may not look at the schema is not told what is in it by way of advice either. Only refusals hold any. */
function withoutSuggestions(body: string): string {
  if (!body.includes(' Did you mean ')) return body;
  const { errors, ...rest } = JSON.parse(body) as { errors: { message: string }[] };
  const silent = errors.map((error) => ({ ...error, message: error.message.replace(/ Did you mean [^]*\?$/, '') }));
  return `${JSON.stringify({ errors: silent, ...rest })}\n`;
}

/** Apollo would take the exhausted stack of the parser for a defect. */
function refuseDeepNesting(text: string): void {
  if (isNestedTooDeep(text)) {
    throw new WeftError('BAD_REQUEST', NESTED_TOO_DEEP, { where: 'query', hint: 'ask for less in one request' });
  }
}

/**
 * Answers 401 to requests without a valid key, 403 to pages of an origin that the key is not for, and 429 to those that
 * come too often; notes who asks on the others. A preflight comes without a key.
 */
export function demandKey(app: FastifyInstance, services: ApiServices): void {
  app.decorateRequest('principal', null);
  app.addHook('onRequest', (request, reply, done) => {
    if (wantsPage(request) || request.method === 'OPTIONS') {
      done();
      return;
    }
    const secret = secretOf(request);
    const known = secret === null ? null : services.credentials.verifyKnown(secret);
    if (known !== undefined) done(refusalOf(request, reply, known, services));
    else verify(secret ?? '', request, reply, services).then(done, done);
  });
}

async function verify(
  secret: string,
  request: FastifyRequest,
  reply: FastifyReply,
  services: ApiServices,
): Promise<Error | undefined> {
  return refusalOf(request, reply, await services.credentials.verify(secret), services);
}

/** Undefined: let in. */
function refusalOf(
  request: FastifyRequest,
  reply: FastifyReply,
  principal: Principal | null,
  services: ApiServices,
): Error | undefined {
  request.principal = principal;
  if (principal === null) return refusalOfCredential(request);
  // Pages of other origins take nothing from the rate of a key.
  return refusalOfOrigin(request, reply, principal) ?? services.limits.refusalOfRequest(principal);
}

/** A header counts before the query string, and is what was wrong where there is one. */
function refusalOfCredential({ headers, query }: FastifyRequest): WeftError {
  return unauthenticated(headers.authorization === undefined ? (query as { readonly key?: unknown }).key : undefined);
}

export function contextOf(request: FastifyRequest, services: ApiServices, watch: DefinitionsWatch): ApiContext {
  const { principal } = request;
  if (principal === null) throw unauthenticated();
  return new ApiContext(
    services,
    watch,
    principal,
    async () => (await services.credentials.verify(secretOf(request) ?? '')) !== null,
  );
}

function refusalOfOrigin(request: FastifyRequest, reply: FastifyReply, principal: Principal): Error | undefined {
  try {
    admitOrigin(request, reply, principal);
    return undefined;
  } catch (error) {
    return error as Error;
  }
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

/** JSON bodies only, uncompressed, each within the bound of its key. */
export function readJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', async (request: FastifyRequest, payload: IncomingMessage) => {
    refuseEncoded(request);
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

/** Queries are small, and what is never expanded is no bomb. */
function refuseEncoded({ headers }: FastifyRequest): void {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity') return;
  throw new WeftError('BAD_REQUEST', 'a compressed body is not read here', {
    where: 'content-encoding',
    hint: 'send the JSON as it is',
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
    if (error instanceof GraphQLError && error.extensions['code'] === NOT_PERSISTED) {
      return answerNotPersisted(error, reply);
    }
    const { status, code, reason, where, hint, retryAfterMs, isDefect } = toHttpFailure(error);
    const errorId = isDefect ? presenter.newErrorId() : undefined;
    if (errorId !== undefined) presenter.onDefect(error, errorId);
    if (status === 401) reply.header('www-authenticate', 'Bearer');
    // What is left of a body that is too large is not read.
    if (status === 413) reply.header('connection', 'close');
    if (retryAfterMs !== undefined) reply.header('retry-after', retryAfterSeconds(retryAfterMs));
    letPagesRead(request, reply, status);
    // What is undefined does not appear.
    const extensions = { code, where, hint, retryAfterMs, errorId };
    return reply
      .code(status)
      .type(acceptsResponseJson(request) ? RESPONSE_JSON : 'application/json; charset=utf-8')
      .send(JSON.stringify({ errors: [{ message: reason, extensions }] }));
  });
}

/** As Apollo Server answers, whose clients then send the text along. No cache is to remember it. */
function answerNotPersisted(error: GraphQLError, reply: FastifyReply): FastifyReply {
  return reply
    .code(200)
    .header('cache-control', 'private, no-cache, must-revalidate')
    .type('application/json; charset=utf-8')
    .send(JSON.stringify({ errors: [error.toJSON()] }));
}
