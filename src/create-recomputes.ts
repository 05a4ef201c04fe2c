import { RecomputeChore, type RecomputeChoreParts } from './recompute-chore.js';
import { SegmentWorkService } from './segments/segment-work.service.js';

/**
 * What evaluates everybody anew, and by what that is asked for.
 * @param maxWaiting profiles of a worker that wait for their evaluation at once
 */
export function createRecomputes(
  parts: Omit<RecomputeChoreParts, 'maxWaiting'> & { readonly wakeWorker: () => void },
  maxWaiting: number | undefined,
): { readonly chore: RecomputeChore; readonly service: SegmentWorkService } {
  const { db, clock, wakeWorker } = parts;
  const chore = new RecomputeChore({ ...parts, maxWaiting });
  const onRequested = (): void => {
    chore.wake();
    wakeWorker();
  };
  return { chore, service: new SegmentWorkService({ db, clock, onRequested }) };
}
