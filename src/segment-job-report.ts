import { formatInstant } from './platform/instant.js';
import { expiresAt, type BackgroundJob } from './schedules/background-job.model.js';

/** What is said of a job that was asked for. */
export function startedText({ id }: BackgroundJob): string {
  return [
    `Job ${id} waits for a server or a worker.`,
    `  weft segment job ${id} --follow   shows how far it is, and what came of it`,
    `  weft segment job ${id} --cancel   ends it`,
    '',
  ].join('\n');
}

/** Where a job stands, in a line. */
export function jobLine({ status, done, total, note, errorMessage, attempts }: BackgroundJob): string {
  const people = done === null || total === null ? '' : `: ${String(done)} of ${String(total)} people`;
  if (status === 'running') return `running${people}`;
  if (status === 'waiting' && attempts > 0)
    return `waiting for another attempt: ${errorMessage ?? 'its process stopped'}`;
  const why = status === 'done' ? note : (errorMessage ?? note);
  return why === null ? status : `${status}: ${why}`;
}

export function jobJson(job: BackgroundJob): object {
  const { id, kind, status, askedBy, attempts, done, total, note, result, errorCode, errorMessage } = job;
  const instant = (ms: number | null): string | null => (ms === null ? null : formatInstant(ms));
  return {
    ...{ id, kind, status, askedBy, requestedAt: instant(job.requestedAt), startedAt: instant(job.startedAt) },
    ...{ finishedAt: instant(job.finishedAt), expiresAt: instant(expiresAt(job)), attempts, done, total },
    ...{ note, result, errorCode, errorMessage },
  };
}
