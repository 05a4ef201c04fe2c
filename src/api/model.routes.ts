import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { AuditRecorder } from '../audit/audit-recorder.js';
import { WeftError } from '../platform/errors.js';
import { formatInstant } from '../platform/instant.js';
import { MODEL_LIMITS, type RegisteredModel } from '../scoring/model-manifest.model.js';
import type { ModelService } from '../scoring/model.service.js';
import { parseManifest } from '../scoring/parse-manifest.js';
import { answerErrors } from './answer-errors.js';
import { hasScope, type Principal } from './auth/api-key.model.js';
import { auditActorOf } from './auth/audit-actor.js';
import type { Credentials } from './auth/credentials.js';
import { secretOfHeader } from './auth/ingest-key.js';
import { unauthenticated } from './auth/unauthenticated.js';
import { toHttpFailure } from './http-errors.js';
import { readMultipart } from './read-multipart.js';

export interface ModelRoutesDependencies {
  readonly models: Pick<ModelService, 'register'>;
  readonly credentials: Pick<Credentials, 'verify'>;
  readonly audit: Pick<AuditRecorder, 'change'>;
  /** Told of errors that are defects of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}

/** Uploads under way: each is in memory until its model is checked. */
const MAX_UPLOADS = 4;
const PARTS = { manifest: MODEL_LIMITS.maxManifestBytes, model: MODEL_LIMITS.maxModelBytes };

/**
 * `POST /models`: registers the model of a `multipart/form-data` body with the parts `model`, the bytes of an ONNX file,
 * and `manifest`, YAML or JSON, as `registerModel` does of GraphQL, which wants base64. For keys with the scope `admin`
 * as Bearer token. 201 for a new version, 200 where the same was registered before.
 */
export function modelRoutes(deps: ModelRoutesDependencies): FastifyPluginCallback {
  let uploads = 0;
  return (app, _options, done) => {
    answerErrors(app, deps.onDefect);
    app.removeAllContentTypeParsers();
    // The stream itself: its parts have bounds of their own.
    app.addContentTypeParser('*', (_request, body, next) => {
      next(null, body);
    });
    app.post('/models', { bodyLimit: Number.MAX_SAFE_INTEGER }, async (request, reply) => {
      const principal = await principalOf(deps, request);
      if (uploads >= MAX_UPLOADS) {
        throw new WeftError('OVERLOADED', 'too many models are being sent', {
          hint: 'send them one after the other',
          retryAfterMs: 1_000,
        });
      }
      uploads++;
      try {
        return await receive(deps, principal, request, reply);
      } finally {
        uploads--;
      }
    });
    done();
  };
}

async function receive(
  { models, audit }: ModelRoutesDependencies,
  principal: Principal,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const note = (outcome: string, targets: readonly string[]): Promise<void> =>
    audit.change({ actor: auditActorOf(principal), operation: 'POST /models', fields: [], targets, outcome });
  try {
    const body = (request.body ?? []) as AsyncIterable<Uint8Array>;
    const parts = await readMultipart(body, request.headers['content-type'] ?? '', PARTS);
    const manifest = parseManifest(partOf(parts, 'manifest').toString('utf8'));
    const { model, created } = await models.register(partOf(parts, 'model'), manifest);
    await note('OK', [model.key]);
    return await reply.code(created ? 201 : 200).send(answerOf(model, created));
  } catch (error) {
    await note(toHttpFailure(error).code, []);
    throw error;
  }
}

function partOf(parts: ReadonlyMap<string, Buffer>, name: keyof typeof PARTS): Buffer {
  const part = parts.get(name);
  if (part !== undefined && part.length > 0) return part;
  throw new WeftError('BAD_REQUEST', `the part ${name} is ${part === undefined ? 'missing' : 'empty'}`, {
    where: name,
    hint: 'send both files, as curl -F model=@intent.onnx -F manifest=@intent.manifest.yaml',
  });
}

function answerOf({ key, version, stage, digest, createdAt, probe }: RegisteredModel, created: boolean) {
  return { key, version, stage, digest, created, createdAt: formatInstant(createdAt), probe };
}

async function principalOf({ credentials }: ModelRoutesDependencies, request: FastifyRequest): Promise<Principal> {
  const secret = secretOfHeader(request.headers.authorization ?? '');
  const principal = secret === null ? null : await credentials.verify(secret);
  if (principal === null) throw unauthenticated();
  if (hasScope(principal, 'admin')) return principal;
  throw new WeftError('FORBIDDEN', 'this key may not register models', { hint: 'use a key with the scope admin' });
}
