import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import type { RegisteredGraph } from '../../scoring/graph-runner.model.js';
import { hasScope, type Principal } from '../auth/api-key.model.js';
import { secretOfHeader } from '../auth/ingest-key.js';
import { unauthenticated } from '../auth/unauthenticated.js';
import type { ApiServices } from '../api-services.js';
import { plainBody } from '../decode-body.js';
import type { DefinitionsWatch } from '../definitions-watch.js';
import { retryAfterSeconds, toHttpFailure } from '../http-errors.js';
import { readRawBodies } from '../raw-bodies.js';
import { readInferRequest } from './infer-request.js';
import { writeInferAnswer } from './infer-answer.js';
import { datatypeOf } from './tensor-codec.js';

/** JSON holds the thread while it is read; tensors as bytes hardly do. */
const MAX_JSON_BYTES = 512 * 1024;
const MAX_BODY_BYTES = 8 * 1024 * 1024;
const HEADER_LENGTH = 'inference-header-content-length';

export interface OipRoutesOptions {
  readonly services: Pick<ApiServices, 'credentials' | 'limits' | 'graphs'>;
  readonly watch: Pick<DefinitionsWatch, 'current'>;
  /** Of the program. */
  readonly version: string;
  /** Told of errors that are defects of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}

interface ModelParams {
  readonly model: string;
  readonly version?: string;
}

/**
 * The Open Inference Protocol, version 2, over HTTP (https://github.com/kserve/open-inference-protocol), with its
 * extension for tensors as bytes: `/v2`, `/v2/health/live`, `/v2/health/ready`, and under `/v2/models/<key>`, with or
 * without `/versions/<number>`, the metadata, `ready` and `infer`. Without a version the active one is meant. Models are
 * asked with the tensors that are sent, in processes of their own; nobody's features are read. For keys with the scope
 * `read` as Bearer token; health and what runs here are told to everybody.
 */
export function oipRoutes(options: OipRoutesOptions): FastifyPluginCallback {
  const { version, watch } = options;
  return (app, _options, done) => {
    readRawBodies(app);
    answerOipErrors(app, options.onDefect);
    app.decorateRequest('principal', null);
    app.get('/v2', () => ({ name: 'weft', version, extensions: ['binary_tensor_data'] }));
    app.get('/v2/health/live', () => ({ live: true }));
    // The server listens once definitions are loaded.
    app.get('/v2/health/ready', () => ({ ready: watch.current.version >= 0 }));
    const onRequest = guardOf(options);
    for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version']) {
      app.get(path, { onRequest }, async (request) => metadataOf(await graphOf(options, request)));
      app.get(`${path}/ready`, { onRequest }, async (request) => {
        const { key } = await graphOf(options, request);
        return { name: key, ready: true };
      });
      app.post(`${path}/infer`, { onRequest, bodyLimit: MAX_BODY_BYTES }, (request, reply) =>
        infer(options, request, reply),
      );
    }
    done();
  };
}

type Guard = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void;

function guardOf({ services: { credentials, limits } }: OipRoutesOptions): Guard {
  const refusalOf = (principal: Principal | null): Error | undefined => {
    if (principal === null) return unauthenticated();
    if (hasScope(principal, 'read')) return limits.refusalOfRequest(principal);
    return new WeftError('FORBIDDEN', 'this key may not ask models', { hint: 'use a key with the scope read' });
  };
  return (request, _reply, done) => {
    const secret = secretOfHeader(request.headers.authorization ?? '');
    const known = secret === null ? null : credentials.verifyKnown(secret);
    if (known !== undefined) done(refusalOf(known));
    else
      credentials
        .verify(secret ?? '')
        .then(refusalOf)
        .then(done, done);
  };
}

async function infer(options: OipRoutesOptions, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const graph = await graphOf(options, request);
  const headerLength = headerLengthOf(request.headers[HEADER_LENGTH]);
  const raw = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const body = await plainBody(raw, MAX_BODY_BYTES);
  if ((headerLength ?? body.length) > MAX_JSON_BYTES) {
    throw new WeftError('PAYLOAD_TOO_LARGE', `the request has more than ${String(MAX_JSON_BYTES)} bytes of JSON`, {
      where: 'body',
      hint: 'send fewer rows at once, or tensors as bytes (binary_data_size)',
    });
  }
  const { id, feeds, outputs } = readInferRequest(body, headerLength, graph.probe);
  const tensors = await options.services.graphs.run(
    graph,
    feeds,
    outputs.map(({ name }) => name),
  );
  const told = { model: graph.key, version: graph.version, id };
  const answer = writeInferAnswer(told, outputs, tensors);
  if (answer.headerLength === null) reply.type('application/json; charset=utf-8');
  else reply.type('application/octet-stream').header(HEADER_LENGTH, answer.headerLength);
  return reply.send(answer.body);
}

function headerLengthOf(value: string | string[] | undefined): number | null {
  if (value === undefined) return null;
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Number(value);
  throw new WeftError('BAD_REQUEST', 'Inference-Header-Content-Length is not a number of bytes', {
    where: 'Inference-Header-Content-Length',
    hint: 'give the length of the JSON before the tensors, or leave it out',
  });
}

async function graphOf({ services: { graphs }, watch }: OipRoutesOptions, request: FastifyRequest) {
  const { model, version } = request.params as ModelParams;
  const { models } = watch.current.scorer;
  const active = models.get(model)?.version;
  const asked = version === undefined ? active : /^[1-9]\d{0,8}$/.test(version) ? Number(version) : undefined;
  const graph = asked === undefined ? null : await graphs.find(model, asked);
  if (graph !== null) return graph;
  const which = version === undefined ? 'no active version' : `no version ${version.slice(0, 20)}`;
  const hint = 'models of GraphQL, or weft model list, shows all';
  throw new WeftError('NOT_FOUND', `there is ${which} of model ${model.slice(0, 100)}`, {
    where: 'model',
    hint: nameHint(model, [...models.keys()], hint),
  });
}

function metadataOf({ key, version, probe: { inputs, outputs } }: RegisteredGraph) {
  const tensors = (infos: typeof inputs) =>
    infos.flatMap(({ name, type, shape }) => {
      const datatype = datatypeOf(type);
      return datatype === null ? [] : [{ name, datatype, shape: shape.map((size) => size ?? -1) }];
    });
  return {
    name: key,
    versions: [String(version)],
    platform: 'onnx_onnxv1',
    inputs: tensors(inputs),
    outputs: tensors(outputs),
  };
}

/** `{ "error": … }`, as the protocol has it, with the hint in the same sentence. */
function answerOipErrors(app: FastifyInstance, onDefect: OipRoutesOptions['onDefect']): void {
  app.setErrorHandler((error, request, reply) => {
    const { status, reason, hint, retryAfterMs, isDefect } = toHttpFailure(error);
    if (isDefect) onDefect(error, request.id);
    if (retryAfterMs !== undefined) reply.header('retry-after', retryAfterSeconds(retryAfterMs));
    const told = isDefect ? `${reason} (${request.id})` : hint === undefined ? reason : `${reason}: ${hint}`;
    return reply.code(status).send({ error: told });
  });
}
