import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from './config.js';
import { createSegmentPreviews } from './create-segment-previews.js';
import type { Engine } from './engine.js';
import type { EventAcceptor } from './events/accept.model.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { ListService, type ListServiceParts } from './profiles/list.service.js';
import { RecomputeJobKind, RefreshJobKind } from './recompute-job.js';
import type { JobKind } from './schedules/schedule.model.js';
import type { SegmentWorkService } from './segments/segment-work.service.js';
import type { SegmentService } from './segments/segment.service.js';
import type { SegmentPreviews } from './segments/segment-preview.service.js';
import { PreviewJobKind } from './preview-job.js';
import { SnapshotJobKind } from './snapshot-job.js';
import { SnapshotOnceJobKind } from './snapshot-once-job.js';

export interface SegmentJobParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly accept: EventAcceptor;
  readonly sources: ListServiceParts['sources'];
  readonly segments: Pick<SegmentService, 'listUses'>;
  readonly segmentWork: SegmentWorkService;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** What is done about segments, by the clock and once, of the whole program. */
export function segmentJobKinds({
  engine: { services, segmentWork, sealer, definitions },
  config: { minSegmentSize },
  ...parts
}: Omit<SegmentJobParts, 'segments' | 'segmentWork' | 'sleep'> & {
  readonly engine: Pick<Engine, 'services' | 'segmentWork' | 'sealer' | 'definitions'>;
  readonly config: Pick<Config, 'minSegmentSize'>;
}): { readonly byTheClock: JobKind[]; readonly once: JobKind[] } {
  const { db, clock, accept, sources } = parts;
  const { segments } = services;
  const previews = createSegmentPreviews({ db, clock, sealer, definitions, segments, minSegmentSize });
  const wait = (ms: number, signal: AbortSignal): Promise<void> => sleep(ms, undefined, { signal });
  const shared = { db, clock, accept, sources, segments, sleep: wait };
  return { byTheClock: createSegmentJobs({ ...shared, segmentWork }), once: createSegmentOnceJobs(shared, previews) };
}

/** What somebody has done about segments once, by a worker. */
export function createSegmentOnceJobs(
  { segments, ...parts }: Omit<SegmentJobParts, 'segmentWork'>,
  previews: SegmentPreviews,
): JobKind[] {
  const { db, clock, sleep } = parts;
  const lists = new ListService({ ...parts, uses: (tx) => segments.listUses(tx) });
  const now = (): number => clock.now();
  return [new PreviewJobKind(previews, now), new SnapshotOnceJobKind({ db, lists, sleep, now })];
}

/** What is done about segments by the clock. */
export function createSegmentJobs({ segments, segmentWork: work, ...parts }: SegmentJobParts): JobKind[] {
  const { db, clock, sleep } = parts;
  const lists = new ListService({ ...parts, uses: (tx) => segments.listUses(tx) });
  const recompute = { db, work, sleep };
  return [
    new RecomputeJobKind(recompute),
    new RefreshJobKind(recompute),
    new SnapshotJobKind({ db, lists, sleep, now: () => clock.now() }),
  ];
}
