import type { Command } from 'commander';
import { EXIT_CODES, jsonText, runCommand, textTable, type CommandIo } from './platform/command-line.js';
import { WeftError } from './platform/errors.js';
import { isUuid, type Uuid } from './platform/ids.js';
import { formatInstant } from './platform/instant.js';
import { withComponentBar, type ProgressStream } from './reresolution-report.js';
import { isOver, type BackgroundJob } from './schedules/background-job.model.js';
import { jobJson, jobLine } from './segment-job-report.js';
import { tellPreview } from './segment-preview.command.js';
import { PREVIEW_ONCE_JOB, type KeptPreview } from './segments/segment-jobs.model.js';

export interface SegmentJobTools {
  readonly describe: (job: BackgroundJob) => string;
  /** The newest first. */
  latest(limit: number): Promise<BackgroundJob[]>;
  /** @throws WeftError NOT_FOUND */
  demand(id: Uuid): Promise<BackgroundJob>;
  /** @throws WeftError NOT_FOUND, CONFLICT */
  cancel(id: Uuid): Promise<BackgroundJob>;
  /** Resolves once it is over, or waits for another attempt. */
  ended(job: BackgroundJob, onProgress: (done: number, total: number | null) => void): Promise<BackgroundJob>;
}

export interface SegmentJobCommandDeps extends CommandIo {
  readonly stderr: ProgressStream;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Starts what the command needs, for as long as `use` runs. */
  withJobs<T>(use: (jobs: SegmentJobTools) => Promise<T>): Promise<T>;
  /** The same, with a worker unless another process has one. */
  withWorker<T>(use: (jobs: SegmentJobTools) => Promise<T>): Promise<T>;
}

interface Options {
  readonly follow?: true;
  readonly cancel?: true;
  readonly json?: true;
}

const LISTED_JOBS = 20;

const HELP = `
Jobs are previews and snapshots that were given to a worker: weft segment preview --detach, weft segment snapshot --detach,
or startSegmentPreview and startSegmentSnapshot in GraphQL. What came of one is kept for a week, without people.

Examples:
  weft segment jobs
  weft segment job 01900000-0000-7000-8000-000000000000 --follow
  weft segment job 01900000-0000-7000-8000-000000000000 --cancel

Exit codes: 0 done, or not over yet, 1 failed, cancelled, or no such job, 2 wrong use, 130 interrupted: the job goes on.`;

/** `weft segment jobs` and `weft segment job`. */
export function addJobCommands(segment: Command, deps: SegmentJobCommandDeps): void {
  segment
    .command('jobs')
    .description('previews and snapshots that a worker makes, the newest first')
    .option('--json', 'as JSON')
    .action((options: Options) => runCommand(deps, () => list(deps, options)));
  segment
    .command('job <id>')
    .description('how far a preview or a snapshot is that a worker makes, and what came of it')
    .option('--follow', 'wait until it is over, and show how it goes')
    .option('--cancel', 'end it')
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action((id: string, options: Options) => runCommand(deps, () => show(deps, id, options), deps.signal));
}

async function list(deps: SegmentJobCommandDeps, { json }: Options): Promise<number> {
  return deps.withJobs(async (tools) => {
    const jobs = await tools.latest(LISTED_JOBS);
    if (json === true) deps.stdout.write(jsonText(jobs.map(jobJson)));
    else if (jobs.length === 0)
      deps.stdout.write('No preview and no snapshot was given to a worker in the last week.\n');
    else {
      const rows = jobs.map((job) => [job.id, formatInstant(job.requestedAt), tools.describe(job), jobLine(job)]);
      deps.stdout.write(textTable([['id', 'asked for', 'job', 'status'], ...rows]));
    }
    return EXIT_CODES.ok;
  });
}

async function show(deps: SegmentJobCommandDeps, id: string, { follow, cancel, json }: Options): Promise<number> {
  if (!isUuid(id)) {
    throw new WeftError('BAD_REQUEST', `"${id.slice(0, 50)}" is no id of a job`, {
      where: '<id>',
      hint: 'weft segment jobs shows the ids',
    });
  }
  if (follow === true && cancel === true) {
    throw new WeftError('BAD_REQUEST', 'what is cancelled cannot be followed', {
      where: '--follow',
      hint: 'give one of --follow and --cancel',
    });
  }
  const use = async (jobs: SegmentJobTools): Promise<number> => {
    if (cancel === true) {
      tell(deps, await jobs.cancel(id), json === true);
      return EXIT_CODES.ok;
    }
    const known = await jobs.demand(id);
    const job =
      follow !== true || isOver(known)
        ? known
        : await withComponentBar(deps.stderr, (onProgress) => jobs.ended(known, onProgress));
    tell(deps, job, json === true);
    return job.status === 'failed' || job.status === 'cancelled' ? EXIT_CODES.failed : EXIT_CODES.ok;
  };
  return follow === true ? deps.withWorker(use) : deps.withJobs(use);
}

function tell(deps: SegmentJobCommandDeps, job: BackgroundJob, asJson: boolean): void {
  if (asJson) deps.stdout.write(jsonText(jobJson(job)));
  else if (job.kind === PREVIEW_ONCE_JOB && job.result !== null) {
    tellPreview(deps, { ...(job.result as unknown as KeptPreview), sample: [] }, false);
  } else deps.stdout.write(`${jobLine(job)}\n`);
}
