import type { EventAcceptor } from './events/accept.model.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { ListService, type ListServiceParts } from './profiles/list.service.js';
import { RecomputeJobKind, RefreshJobKind } from './recompute-job.js';
import type { JobKind } from './schedules/schedule.model.js';
import type { SegmentWorkService } from './segments/segment-work.service.js';
import type { SegmentService } from './segments/segment.service.js';
import { SnapshotJobKind } from './snapshot-job.js';

export interface SegmentJobParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly accept: EventAcceptor;
  readonly sources: ListServiceParts['sources'];
  readonly segments: Pick<SegmentService, 'listUses'>;
  readonly segmentWork: SegmentWorkService;
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
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
