import type { DefinitionsLoader } from './definitions.js';
import { EventHistoryReader } from './events/event-history.reader.js';
import type { EventSealer } from './events/event-seal.model.js';
import { ProfileHistoryReader } from './identity/profile-history.reader.js';
import { readWhatLogTells } from './log-tells.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { HistoryReplay } from './segments/history-replay.js';
import { SegmentPreviews } from './segments/segment-preview.service.js';
import type { SegmentService } from './segments/segment.service.js';
import { withTrial } from './trial-definitions.js';

export interface SegmentPreviewParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly sealer: EventSealer;
  readonly definitions: Pick<DefinitionsLoader, 'current' | 'isCurrent' | 'invalidate'>;
  readonly segments: Pick<SegmentService, 'trial'>;
  /** Below it a segment is warned of. */
  readonly minSegmentSize: number;
}

export function createSegmentPreviews({
  db,
  clock,
  sealer,
  definitions,
  segments,
  minSegmentSize,
}: SegmentPreviewParts): SegmentPreviews {
  const histories = new ProfileHistoryReader();
  return new SegmentPreviews({
    ...{ db, clock, histories, minSegmentSize },
    replay: new HistoryReplay({ db, histories, events: new EventHistoryReader(sealer) }),
    trial: async (asked) => {
      const trial = await segments.trial(asked);
      // What the conditions were checked against is there.
      if (!(await definitions.isCurrent())) definitions.invalidate();
      return withTrial(await definitions.current(), trial, await readWhatLogTells(db));
    },
  });
}
