import { open, type FileHandle } from 'node:fs/promises';
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { AuditRecorder } from '../audit/audit-recorder.js';
import type { ExportFolder } from '../features/export-folder.js';
import { manifestPathOf } from '../features/hashed-file.js';
import type { LabelFileService } from '../features/label-file.service.js';
import { hasFiles, setFileName, type LabelFile, type TrainingSetJob } from '../features/training-set-job.model.js';
import { TrainingSetJobReader } from '../features/training-set-job.reader.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { isUuid } from '../platform/ids.js';
import { formatInstant } from '../platform/instant.js';
import type { Queryable } from '../platform/postgres.js';
import { answerErrors } from './answer-errors.js';
import { hasScope, type Principal } from './auth/api-key.model.js';
import { auditActorOf } from './auth/audit-actor.js';
import type { Credentials } from './auth/credentials.js';
import { secretOfHeader } from './auth/ingest-key.js';
import { unauthenticated } from './auth/unauthenticated.js';
import { toHttpFailure } from './http-errors.js';
import { readRange } from './read-range.js';

export interface TrainingSetDependencies {
  readonly db: Queryable;
  readonly clock: Clock;
  readonly folder: ExportFolder;
  readonly labels: LabelFileService;
  readonly credentials: Pick<Credentials, 'verify'>;
  readonly audit: Pick<AuditRecorder, 'seen' | 'change'>;
  /** Told of errors that are defects of ours; the caller sees only the id. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}

const TYPES = { csv: 'text/csv; charset=utf-8', parquet: 'application/vnd.apache.parquet', json: 'application/json' };
const SET_FILE = /^([\da-f-]{36})\.(csv|parquet)(\.manifest\.json)?$/;

/** Where the set of a job is fetched from; its manifest is at the same place with `.manifest.json` behind. */
export function trainingSetPath({ id, spec }: Pick<TrainingSetJob, 'id' | 'spec'>): string {
  return `/training-sets/${setFileName(id, spec.format)}`;
}

/**
 * `POST /label-files/<name>`: takes in labels, streamed to disk; `GET /label-files/<id>`: these as they are kept;
 * `GET /training-sets/<id>.parquet` and `….manifest.json`: what was made of them, whole or a range of bytes. All for keys
 * with the scope `admin` as Bearer token.
 */
export function trainingSetRoutes(deps: TrainingSetDependencies): FastifyPluginCallback {
  return (app, _options, done) => {
    answerErrors(app, deps.onDefect);
    app.removeAllContentTypeParsers();
    app.addHook('onRequest', (request, _reply, next) => {
      // The name says what it is; whatever type is sent means nothing.
      if (request.method === 'POST') request.headers['content-type'] = 'application/octet-stream';
      next();
    });
    // The stream itself: it is written to disk as it comes.
    app.addContentTypeParser('*', (_request, body, next) => {
      next(null, body);
    });
    app.post('/label-files/:name', { bodyLimit: Number.MAX_SAFE_INTEGER }, (request, reply) =>
      receive(deps, request, reply),
    );
    app.get('/label-files/:id', { exposeHeadRoute: false }, (request, reply) => sendLabels(deps, request, reply));
    app.get('/training-sets/:file', { exposeHeadRoute: false }, (request, reply) => sendSet(deps, request, reply));
    done();
  };
}

async function receive(deps: TrainingSetDependencies, request: FastifyRequest, reply: FastifyReply) {
  const { labels, audit } = deps;
  const principal = await principalOf(deps, request);
  const { name } = request.params as { readonly name: string };
  const announced = Number(request.headers['content-length'] ?? NaN);
  const body = (request.body ?? []) as AsyncIterable<Uint8Array>;
  const note = (outcome: string, targets: readonly string[]): Promise<void> =>
    audit.change({ actor: auditActorOf(principal), operation: 'POST /label-files', fields: [], targets, outcome });
  try {
    const file = await labels.receive(name, body, Number.isNaN(announced) ? null : announced);
    await note('OK', [file.id]);
    return await reply.code(201).send(labelFileAnswer(file));
  } catch (error) {
    const { code, where, reason } = toHttpFailure(error);
    await note(code, []);
    // Where a row is wrong is what the sender has to know.
    if (error instanceof WeftError && where !== undefined && code === 'BAD_REQUEST') {
      throw new WeftError(code, `${where}: ${reason}`, {
        ...(error.hint === undefined ? {} : { hint: error.hint }),
        cause: error,
      });
    }
    throw error;
  }
}

function labelFileAnswer({ id, name, sha256, bytes, rows, leftOutRows, columns, createdAt, expiresAt }: LabelFile) {
  return {
    ...{ id, name, sha256, bytes, rows, leftOutRows, columns },
    createdAt: formatInstant(createdAt),
    expiresAt: formatInstant(expiresAt),
  };
}

async function sendLabels(deps: TrainingSetDependencies, request: FastifyRequest, reply: FastifyReply) {
  const principal = await principalOf(deps, request);
  const { id } = request.params as { readonly id: string };
  const file = isUuid(id) ? await new TrainingSetJobReader(deps.db).labelFile(id) : null;
  if (file === null) throw gone('there is no such label file', 'labelFiles lists those that there are');
  const path = deps.folder.labelsOf(file);
  const handle = await opened(path);
  note(deps, principal, 'GET /label-files');
  const type = file.storedAs === 'csv.gz' ? 'application/gzip' : TYPES.csv;
  return send(request, reply, handle, { type, etag: file.sha256 ?? '', name: `labels.${file.storedAs ?? 'csv'}` });
}

async function sendSet(deps: TrainingSetDependencies, request: FastifyRequest, reply: FastifyReply) {
  const principal = await principalOf(deps, request);
  const [, id = '', format = '', manifest] = SET_FILE.exec((request.params as { readonly file: string }).file) ?? [];
  const job = isUuid(id) ? await new TrainingSetJobReader(deps.db).job(id) : null;
  const isThere = job !== null && job.spec.format === format && hasFiles(job, deps.clock.now());
  if (!isThere || job.labelFileId === null) {
    throw gone('there is no such training set', 'trainingSetJob(id) says where it is, and how it stands');
  }
  const path = deps.folder.setOf(job, job.labelFileId);
  const isManifest = manifest !== undefined;
  const handle = await opened(isManifest ? manifestPathOf(path) : path);
  // The manifest names nobody.
  if (!isManifest) note(deps, principal, 'GET /training-sets');
  const name = setFileName(job.id, job.spec.format);
  return isManifest
    ? send(request, reply, handle, { type: TYPES.json, etag: null, name: manifestPathOf(name) })
    : send(request, reply, handle, { type: TYPES[job.spec.format], etag: job.sha256, name });
}

interface SentFile {
  readonly type: string;
  /** Hash of the whole file; null: none is told. */
  readonly etag: string | null;
  readonly name: string;
}

async function send(
  request: FastifyRequest,
  reply: FastifyReply,
  handle: FileHandle,
  { type, etag, name }: SentFile,
): Promise<FastifyReply> {
  const { size } = await handle.stat();
  const tag = etag === null ? null : `"${etag}"`;
  const { range: asked, 'if-range': ifRange } = request.headers;
  const isSame = ifRange === undefined || ifRange === tag;
  const range = isSame ? readRange(asked, size) : 'all';
  reply
    .header('accept-ranges', 'bytes')
    .header('cache-control', 'no-store')
    .header('content-disposition', `attachment; filename="${name}"`);
  if (tag !== null) reply.header('etag', tag);
  if (range === 'none') {
    await handle.close();
    return reply
      .code(416)
      .header('content-range', `bytes */${String(size)}`)
      .send();
  }
  reply.type(type);
  if (range === 'all') {
    return reply.header('content-length', size).send(handle.createReadStream());
  }
  const { start, end } = range;
  return reply
    .code(206)
    .header('content-range', `bytes ${String(start)}-${String(end)}/${String(size)}`)
    .header('content-length', end - start + 1)
    .send(handle.createReadStream({ start, end }));
}

async function principalOf({ credentials }: TrainingSetDependencies, request: FastifyRequest): Promise<Principal> {
  const secret = secretOfHeader(request.headers.authorization ?? '');
  const principal = secret === null ? null : await credentials.verify(secret);
  if (principal === null) throw unauthenticated();
  if (hasScope(principal, 'admin')) return principal;
  throw new WeftError('FORBIDDEN', 'this key may not make training sets', { hint: 'use a key with the scope admin' });
}

function note({ audit }: TrainingSetDependencies, principal: Principal, operation: string): void {
  audit.seen({ actor: auditActorOf(principal), operation, fields: ['*'], outcome: 'OK' }, null);
}

/** Files may be removed at any time. */
async function opened(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (cause) {
    if ((cause as { readonly code?: unknown }).code !== 'ENOENT') throw cause;
    throw gone('the file is not here', 'give all processes the same WEFT_EXPORTS_DIR', cause);
  }
}

function gone(message: string, hint: string, cause?: unknown): WeftError {
  return new WeftError('NOT_FOUND', message, { hint, cause });
}
