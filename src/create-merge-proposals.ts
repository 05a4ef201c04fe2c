import { SegmentUseReader } from './activation/segment-use.reader.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import { MergeProposals } from './segments/merge-proposal.service.js';
import { SegmentGuards } from './segments/segment-guards.reader.js';

export interface MergeProposalsParts {
  readonly db: Database;
  readonly clock: Clock;
  /** Below it a segment is small. */
  readonly minSegmentSize: number;
}

export function createMergeProposals({ db, clock, minSegmentSize }: MergeProposalsParts): MergeProposals {
  const uses = new SegmentUseReader(db);
  return new MergeProposals({
    ...{ db, clock, guards: new SegmentGuards(db, clock, minSegmentSize) },
    filters: () => uses.filters(),
  });
}
