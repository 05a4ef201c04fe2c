import type { Uuid } from '../platform/ids.js';
import type { ExportFolder } from './export-folder.js';
import type { TrainingSetJobStore } from './training-set-job.store.js';

/** How long a label file may be received, at most. */
const RECEIVING_MS = 6 * 3_600_000;
/** Who receives one says so every 20 s; one that was not heard of for so long is gone. */
const UNHEARD_MS = 300_000;
const EVICTED = {
  code: 'NOT_FOUND',
  message: 'the files were removed to make room for newer ones; ask for the set again',
};

export interface ExportBounds {
  readonly nowMs: number;
  /** Of all that is kept, label files and sets together. */
  readonly maxBytes: number;
  /** A set was removed before its time. */
  readonly onEvicted: (id: Uuid) => void;
}

/** Removes files: of labels and sets whose time is over, of labels that are to go, and of sets the oldest beyond the bound. */
export async function sweepExports(
  store: TrainingSetJobStore,
  folder: ExportFolder,
  { nowMs, maxBytes, onEvicted }: ExportBounds,
): Promise<void> {
  for (const job of await store.stoppedWaiting()) {
    if (job.labelFileId !== null) await folder.removeSet(folder.setOf(job, job.labelFileId));
    if (job.stop === 'cancelled') await store.end(job.id, 'cancelled', nowMs, null);
    else await store.isAnew(job.id);
  }
  for (const file of await store.leaving(nowMs, nowMs - RECEIVING_MS, nowMs - UNHEARD_MS)) {
    if (file.status === 'ready' && !(await store.doom(file.id))) continue;
    await folder.removeAll(file.id);
    await store.forgetFilesOf(file.id, null);
    await store.removeLabelFile(file.id);
  }
  let excess = (await store.kept()).bytes - maxBytes;
  for (const job of await store.withFiles()) {
    const isOver = job.expiresAt !== null && job.expiresAt <= nowMs;
    if (!isOver && excess <= 0) continue;
    if (job.labelFileId !== null) await folder.removeSet(folder.setOf(job, job.labelFileId));
    await store.forgetFiles(job.id, isOver ? null : EVICTED);
    excess -= job.bytes ?? 0;
    if (!isOver) onEvicted(job.id);
  }
  await store.sweepJobs();
}
