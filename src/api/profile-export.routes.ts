import { Readable } from 'node:stream';
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import { WeftError } from '../platform/errors.js';
import { isUuid } from '../platform/ids.js';
import type { ProfileExports } from '../privacy/profile-export.model.js';
import type { AuditRecorder } from '../audit/audit-recorder.js';
import { answerErrors } from './answer-errors.js';
import { auditActorOf } from './auth/audit-actor.js';
import { hasScope } from './auth/api-key.model.js';
import type { Credentials } from './auth/credentials.js';
import { secretOfHeader } from './auth/ingest-key.js';
import { unauthenticated } from './auth/unauthenticated.js';

export interface ProfileExportDependencies {
  readonly exports: ProfileExports;
  readonly credentials: Pick<Credentials, 'verify'>;
  readonly audit: Pick<AuditRecorder, 'seen'>;
  /** Told of errors that are defects of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}

/** Where an export is fetched from. */
export function profileExportPath(profileId: string): string {
  return `/exports/profiles/${profileId}`;
}

/**
 * `GET /exports/profiles/<id>`: all that is known of one person, streamed as a JSON file, for a key with the scope `admin`
 * as Bearer token. An answer that does not end with `}` was cut off.
 */
export function profileExportRoutes(deps: ProfileExportDependencies): FastifyPluginCallback {
  return (app, _options, done) => {
    answerErrors(app, deps.onDefect);
    app.get('/exports/profiles/:id', { exposeHeadRoute: false }, (request, reply) => send(deps, request, reply));
    done();
  };
}

async function send(
  { exports, credentials, audit }: ProfileExportDependencies,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const secret = secretOfHeader(request.headers.authorization ?? '');
  const principal = secret === null ? null : await credentials.verify(secret);
  if (principal === null) throw unauthenticated();
  if (!hasScope(principal, 'admin')) {
    throw new WeftError('FORBIDDEN', 'this key may not export profiles', { hint: 'use a key with the scope admin' });
  }
  const { id } = request.params as { readonly id: string };
  const found = isUuid(id) ? await exports.open(id) : null;
  if (found === null) {
    throw new WeftError('NOT_FOUND', 'there is no such profile', { hint: 'exportProfile says where its export is' });
  }
  const access = { actor: auditActorOf(principal), operation: 'GET /exports/profiles', fields: ['*'], outcome: 'OK' };
  audit.seen(access, found.profileId);
  return reply
    .type('application/json; charset=utf-8')
    .header('cache-control', 'no-store')
    .header('content-disposition', `attachment; filename="profile-${found.profileId}.json"`)
    .send(Readable.from(found.chunks));
}
