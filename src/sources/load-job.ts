import { isAbsolute } from 'node:path';

import { WeftError } from '../platform/errors.js';
import type { JobKind, JobResult, JobRun, JobSettings } from '../schedules/schedule.model.js';
import { expandFiles } from './expand-files.js';
import { mayGoOn } from './load-files.js';
import { grouped } from './load-progress.js';
import { parseErrorLimit, type LoadOutcome } from './load.model.js';
import type { LoadService } from './load.service.js';
import type { Mapping } from './mapping.model.js';
import { parseMapping } from './parse-mapping.js';
import type { WarehouseLoadService } from './warehouse/warehouse-load.service.js';

export const LOAD_JOB = 'load';
const MAX_PATTERNS = 100;
const MAX_PATTERN_LENGTH = 1_000;

export interface LoadJob {
  readonly mapping: Mapping;
  /** Absolute paths or patterns, seen by the process that applies events; none: the rows that the mapping names. */
  readonly files: readonly string[];
  readonly emit?: boolean;
  readonly timeShiftMs?: number;
  /** As `weft load --max-errors` takes it. */
  readonly maxErrors?: string;
}

interface StoredLoadJob {
  readonly source: string;
  readonly mapping: string;
  readonly files: readonly string[];
  readonly emit: boolean;
  readonly timeShiftMs: number | null;
  readonly maxErrors: string | null;
}

/** What a schedule keeps of a load. @throws WeftError BAD_REQUEST */
export function loadJobSettings({ mapping, files, emit, timeShiftMs, maxErrors }: LoadJob): JobSettings {
  if ((mapping.from === null) !== files.length > 0) {
    throw mapping.from === null
      ? new WeftError('BAD_REQUEST', 'nothing says what to load', {
          where: 'files',
          hint: 'name files or patterns, or give the mapping a "from"',
        })
      : new WeftError('BAD_REQUEST', 'the mapping names rows of a database, and files are given', {
          where: 'files',
          hint: 'leave one of the two out',
        });
  }
  if (files.length > MAX_PATTERNS || files.some((file) => file.length > MAX_PATTERN_LENGTH)) {
    throw new WeftError('BAD_REQUEST', `a schedule takes ${String(MAX_PATTERNS)} paths or patterns at most`, {
      where: 'files',
      hint: 'use patterns, such as /data/in/*.csv',
    });
  }
  const relative = files.find((file) => !isAbsolute(file));
  if (relative !== undefined) {
    throw new WeftError('BAD_REQUEST', 'files of a schedule need absolute paths: another process reads them', {
      where: relative,
      hint: 'write it as in /data/in/*.csv',
    });
  }
  if (maxErrors !== undefined && parseErrorLimit(maxErrors) === undefined) {
    throw new WeftError('BAD_REQUEST', 'this is no limit of errors', {
      where: 'maxErrors',
      hint: 'write a count such as 500, or a share such as 30%',
    });
  }
  const stored: StoredLoadJob = {
    source: mapping.source,
    mapping: mapping.text,
    files,
    emit: emit === true,
    timeShiftMs: timeShiftMs ?? null,
    maxErrors: maxErrors ?? null,
  };
  return { ...stored };
}

/** What loads of schedules need. */
export interface LoadJobServices {
  readonly loads: Pick<LoadService, 'load'>;
  readonly warehouseLoads: Pick<WarehouseLoadService, 'load'>;
}

/** Loads files, or rows of a database, as `weft load` does: what is in already is found to be, so again does no harm. */
export class LoadJobKind implements JobKind {
  readonly kind = LOAD_JOB;

  constructor(private readonly services: LoadJobServices) {}

  describe(job: JobSettings): string {
    const { files, source } = job as unknown as StoredLoadJob;
    const [first = 'rows of a database'] = files;
    const more = files.length > 1 ? ` and ${String(files.length - 1)} more` : '';
    return `load ${first}${more} into ${source}`;
  }

  async run(settings: JobSettings, { signal, report }: JobRun): Promise<JobResult> {
    const job = settings as unknown as StoredLoadJob;
    const mapping = parseMapping(job.mapping);
    const limit = job.maxErrors === null ? undefined : parseErrorLimit(job.maxErrors);
    const common = {
      mapping,
      signal,
      emit: job.emit,
      ...(job.timeShiftMs === null ? {} : { timeShiftMs: job.timeShiftMs }),
      ...(limit === undefined ? {} : { errorLimit: limit }),
    };
    if (job.files.length === 0) {
      const { outcome, loads, lastLoadId, position, unexpected, ...counts } =
        await this.services.warehouseLoads.load(common);
      return resultOf(outcome, { loads, lastLoadId, position, unexpected: unexpected.length, ...countsOf(counts) });
    }
    const files = await expandFiles(job.files);
    const sum = { rows: 0, events: 0, accepted: 0, duplicates: 0, refused: 0 };
    let loads = 0;
    let unexpected = 0;
    for (const [at, file] of files.entries()) {
      report({ done: at, total: files.length });
      const result = await this.services.loads.load({ file, ...common });
      const isNew = result.outcome !== 'already_loaded';
      // Of a file that is in already, the figures are those of the load that brought it.
      if (isNew) for (const [name, count] of Object.entries(countsOf(result))) sum[name as keyof typeof sum] += count;
      if (isNew) loads++;
      unexpected += result.unexpected.length;
      if (!mayGoOn(result)) return resultOf(result.outcome, { loads, lastLoadId: result.loadId, unexpected, ...sum });
    }
    return resultOf(loads > 0 ? 'loaded' : 'already_loaded', { files: files.length, loads, unexpected, ...sum });
  }
}

type Counts = Readonly<Record<'rows' | 'events' | 'accepted' | 'duplicates' | 'refused', number>>;

function countsOf({ rows, events, accepted, duplicates, refused }: Counts): Counts {
  return { rows, events, accepted, duplicates, refused };
}

function resultOf(outcome: LoadOutcome, result: Counts & Readonly<Record<string, unknown>>): JobResult {
  const { rows, accepted, duplicates, refused, unexpected } = result;
  const broken = Number(unexpected);
  const odd = broken > 0 ? `, ${grouped(broken)} expectations not met` : '';
  const counts = `rows ${grouped(rows)}: ${grouped(accepted)} accepted, ${grouped(duplicates)} duplicates, ${grouped(refused)} refused${odd}`;
  return {
    isDone: mayGoOn({ outcome, ...result }),
    note: `${HEADS[outcome]}${counts}`,
    result: { outcome, ...result },
  };
}

const HEADS: Readonly<Record<LoadOutcome, string>> = {
  loaded: '',
  already_loaded: 'nothing new; ',
  interrupted: 'interrupted; ',
  too_many_refused: 'too many rows are refused; ',
};
