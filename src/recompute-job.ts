import { WeftError } from './platform/errors.js';
import { nameHint } from './platform/near-names.js';
import type { Queryable } from './platform/postgres.js';
import type { JobKind, JobResult, JobRun, JobSettings } from './schedules/schedule.model.js';
import { ModelReader } from './scoring/model.reader.js';
import { LineageReader } from './segments/lineage.reader.js';
import type { Recompute } from './segments/recompute.model.js';
import { RECOMPUTE_JOB, REFRESH_JOB, type SegmentJobRequests } from './segments/segment-jobs.model.js';
import type { SegmentWorkService } from './segments/segment-work.service.js';

const MAX_KEYS = 100;
/** Between two looks at how far it is, ms. */
const POLL_MS = 1_000;

export interface RecomputeJobParts {
  readonly db: Queryable;
  readonly work: Pick<SegmentWorkService, 'recompute' | 'demand' | 'demandEvaluated' | 'withdraw'>;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Has everybody evaluated anew, behind live traffic, as `weft segment recompute` does, and waits for it. */
export class RecomputeJobKind implements JobKind {
  readonly kind: string = RECOMPUTE_JOB;
  readonly isElsewhere = true;

  constructor(protected readonly parts: RecomputeJobParts) {}

  describe(job: JobSettings): string {
    const { segments } = job as unknown as SegmentJobRequests[typeof RECOMPUTE_JOB];
    return segments.length === 0 ? 'evaluate everybody anew' : `evaluate everybody anew for ${listText(segments)}`;
  }

  /** @throws WeftError BAD_REQUEST, NOT_FOUND, CONFLICT (a segment that is not evaluated) */
  async prepare(request: JobSettings): Promise<JobSettings> {
    const { segments } = request as unknown as SegmentJobRequests[typeof RECOMPUTE_JOB];
    checkCount(segments, 'segments');
    await this.parts.work.demandEvaluated(segments);
    return { segments: [...new Set(segments)].sort() };
  }

  async run(job: JobSettings, { id, signal, report }: JobRun): Promise<JobResult> {
    const keys = await this.segmentsOf(job);
    if (keys === null) {
      return {
        isDone: true,
        note: 'no live segment asks such a model',
        result: { segments: [], people: 0, changes: 0 },
      };
    }
    const { work, sleep } = this.parts;
    let recompute = await work.recompute(keys, id);
    while (recompute.status === 'waiting' || recompute.status === 'running') {
      report({ done: recompute.done, total: recompute.total });
      await sleep(POLL_MS, signal);
      recompute = await work.demand(recompute.id);
    }
    report({ done: recompute.done, total: recompute.total });
    return resultOf(recompute);
  }

  withdraw(runId: string): Promise<void> {
    return this.parts.work.withdraw(runId);
  }

  /** Keys of the segments whose changes are counted, empty: all; null: there is nothing to do. */
  protected segmentsOf(job: JobSettings): Promise<readonly string[] | null> {
    const { segments } = job as unknown as SegmentJobRequests[typeof RECOMPUTE_JOB];
    return Promise.resolve(segments);
  }
}

/** The same for the segments that ask models at the time when it is due, by themselves or through other segments. */
export class RefreshJobKind extends RecomputeJobKind {
  override readonly kind = REFRESH_JOB;

  override describe(job: JobSettings): string {
    const { models } = job as unknown as SegmentJobRequests[typeof REFRESH_JOB];
    return `evaluate everybody anew for segments that ask ${models.length === 0 ? 'models' : listText(models)}`;
  }

  /** @throws WeftError BAD_REQUEST, NOT_FOUND */
  override async prepare(request: JobSettings): Promise<JobSettings> {
    const { models } = request as unknown as SegmentJobRequests[typeof REFRESH_JOB];
    checkCount(models, 'models');
    const known = new Set((await new ModelReader(this.parts.db).keys()).map(({ key }) => key));
    const unknown = models.find((key) => !known.has(key));
    if (unknown !== undefined) {
      throw new WeftError('NOT_FOUND', `there is no model ${unknown.slice(0, 100)}`, {
        where: 'models',
        hint: nameHint(unknown, [...known], 'weft model list shows all of them'),
      });
    }
    return { models: [...new Set(models)].sort() };
  }

  protected override async segmentsOf(job: JobSettings): Promise<readonly string[] | null> {
    const { models } = job as unknown as SegmentJobRequests[typeof REFRESH_JOB];
    const { edges } = await new LineageReader(this.parts.db).graph();
    const next = new Map<string, string[]>();
    for (const { from, to } of edges) {
      if (to.kind !== 'segment' || (from.kind !== 'model' && from.kind !== 'segment')) continue;
      const at = `${from.kind} ${from.name}`;
      next.set(at, [...(next.get(at) ?? []), to.name]);
    }
    const asked = models.length > 0 ? models.map((key) => `model ${key}`) : [...next.keys()].filter(isModel);
    const found = new Set<string>();
    for (let places: readonly string[] = asked; places.length > 0;) {
      const reached = new Set(places.flatMap((at) => next.get(at) ?? []).filter((key) => !found.has(key)));
      for (const key of reached) found.add(key);
      places = [...reached].map((key) => `segment ${key}`);
    }
    return found.size === 0 ? null : [...found].sort();
  }
}

function isModel(place: string): boolean {
  return place.startsWith('model ');
}

function resultOf({ id, status, segments, done, changes, perSecond }: Recompute): JobResult {
  const rate = perSecond === null ? '' : `, ${grouped(Math.round(perSecond))} a second`;
  const counts = `people ${grouped(done)}: ${grouped(changes)} changes${rate}`;
  return {
    isDone: status === 'done',
    note: status === 'done' ? counts : `somebody cancelled it; ${counts}`,
    result: { recompute: id, segments: [...segments], people: done, changes },
  };
}

function checkCount(keys: readonly string[], where: string): void {
  if (keys.length <= MAX_KEYS) return;
  throw new WeftError('BAD_REQUEST', `${String(keys.length)} ${where} are named`, {
    where,
    hint: `name ${String(MAX_KEYS)} at most, or none for all`,
  });
}

function listText(keys: readonly string[]): string {
  const [first = ''] = keys;
  return keys.length > 1 ? `${first} and ${String(keys.length - 1)} more` : first;
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
