import type { Clock } from '../platform/clock.js';
import type { CommandIo } from '../platform/command-line.js';
import { WeftError } from '../platform/errors.js';
import { nameHint } from '../platform/near-names.js';
import type { Database } from '../platform/postgres.js';
import { DEFAULT_MIN_SEGMENT_SIZE } from './guard-segments.js';
import { RefreshReader } from './refresh.reader.js';
import { SegmentGuards } from './segment-guards.reader.js';
import { SegmentHistoryReader } from './segment-history.reader.js';
import { SegmentWorkReader } from './segment-work.reader.js';
import { SegmentVersionReader } from './segment-version.reader.js';
import { SegmentReader } from './segment.reader.js';
import type { SegmentService } from './segment.service.js';

export interface SegmentCommandServices {
  readonly reader: Pick<SegmentReader, 'all' | 'byKey' | 'sizes' | 'shadowSizes'>;
  readonly versions: Pick<SegmentVersionReader, 'page'>;
  readonly work: Pick<SegmentWorkReader, 'read'>;
  readonly histories: Pick<SegmentHistoryReader, 'periods' | 'alerts'>;
  readonly refreshes: Pick<RefreshReader, 'page'>;
  readonly guards: Pick<SegmentGuards, 'warnings'>;
  readonly service: Pick<
    SegmentService,
    'activate' | 'archive' | 'check' | 'endShadow' | 'questions' | 'restore' | 'shadow'
  >;
}

/** @param minSegmentSize below it a segment is warned of */
export function segmentServices(
  db: Database,
  service: SegmentCommandServices['service'],
  { clock, minSegmentSize = DEFAULT_MIN_SEGMENT_SIZE }: { readonly clock: Clock; readonly minSegmentSize?: number },
): SegmentCommandServices {
  return {
    reader: new SegmentReader(db),
    versions: new SegmentVersionReader(db),
    work: new SegmentWorkReader(db),
    histories: new SegmentHistoryReader(db),
    refreshes: new RefreshReader(db),
    guards: new SegmentGuards(db, clock, minSegmentSize),
    service,
  };
}

export interface SegmentCommandDeps extends CommandIo {
  /** Who runs the command. */
  readonly user: string;
  readonly clock: Clock;
  /** Starts what the command needs, for as long as `use` runs. */
  withSegments<T>(use: (segments: SegmentCommandServices) => Promise<T>): Promise<T>;
}

/** @throws WeftError NOT_FOUND, with a name that is near */
export async function missingSegment(reader: Pick<SegmentReader, 'all'>, key: string): Promise<never> {
  const keys = (await reader.all()).map((segment) => segment.key);
  throw new WeftError('NOT_FOUND', `there is no segment ${key}`, {
    hint: nameHint(key, keys, 'weft segment list shows all of them'),
  });
}
