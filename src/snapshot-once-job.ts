import { ListReader } from './profiles/list.reader.js';
import type { JobKind, JobResult, JobRun, JobSettings } from './schedules/schedule.model.js';
import { demandSnapshot, snapshotSegment } from './segment-snapshot.js';
import { SNAPSHOT_ONCE_JOB, type SnapshotOnceAsk, type TakenSnapshot } from './segments/segment-jobs.model.js';
import { untilEvaluated, type SnapshotJobParts } from './snapshot-job.js';

/**
 * Keeps those who are in a segment as a list, as `weft segment snapshot` does, by a worker. Whole or not at all: what was
 * broken off is begun anew, and one that was taken just before its process was killed is found to be there.
 */
export class SnapshotOnceJobKind implements JobKind {
  readonly kind = SNAPSHOT_ONCE_JOB;

  constructor(private readonly parts: SnapshotJobParts) {}

  describe(job: JobSettings): string {
    const { segment, list } = job as unknown as SnapshotOnceAsk;
    return `keep who is in ${segment} as the list ${list}`;
  }

  /** @throws WeftError BAD_REQUEST, NOT_FOUND, CONFLICT */
  async prepare(request: JobSettings): Promise<JobSettings> {
    await demandSnapshot(this.parts, request as unknown as SnapshotOnceAsk);
    return request;
  }

  async run(job: JobSettings, { dueAt, signal, report }: JobRun): Promise<JobResult> {
    const { db, now, lists } = this.parts;
    const ask = job as unknown as SnapshotOnceAsk;
    const known = await new ListReader(db).byKey(ask.list);
    const isOurs = known?.origin?.segment === ask.segment && known.createdAt >= dueAt;
    if (isOurs && known.lastChange?.isDone === true) {
      return resultOf(ask.list, known.lastChange.taken, known.lastChange.refused);
    }
    await untilEvaluated(this.parts, signal);
    const onProgress = (done: number, total: number): void => {
      report({ done, total });
    };
    const { taken, refused } = await snapshotSegment({ db, now, lists, signal, onProgress }, ask);
    return resultOf(ask.list, taken, refused);
  }
}

function resultOf(list: string, taken: number, refused: number): JobResult {
  const left = refused === 0 ? '' : `, ${refused.toLocaleString('en-US')} who are being erased left out`;
  const result: TakenSnapshot = { list, taken, refused };
  return { isDone: true, note: `list ${list}: ${taken.toLocaleString('en-US')} people${left}`, result: { ...result } };
}
