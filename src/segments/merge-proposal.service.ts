import { FeatureReader } from '../features/feature.reader.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import type { Database } from '../platform/postgres.js';
import type { FilterUse, MergeProposal } from './merge-proposal.model.js';
import { NEAR_DUPLICATE } from './overlap.model.js';
import { OverlapReader } from './overlap.reader.js';
import { proposeMerges } from './propose-merges.js';
import type { SegmentGuards } from './segment-guards.reader.js';
import { parseRule } from './segment-rule.model.js';
import { MAX_SEGMENTS, SegmentReader } from './segment.reader.js';

export interface MergeProposalParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly guards: Pick<SegmentGuards, 'small'>;
  /** Whose filters of the feed name segments. */
  readonly filters: () => Promise<readonly FilterUse[]>;
}

/** Of one small segment, those that it is held against. */
const MAX_NEAR = 20;

/** Proposals to make one of two segments, and those that somebody declined. Nothing is merged by itself. */
export class MergeProposals {
  constructor(private readonly parts: MergeProposalParts) {}

  /** By what was measured last: those that nobody declined, near duplicates first. */
  async all(): Promise<MergeProposal[]> {
    const { db, guards, filters } = this.parts;
    const views = await new FeatureReader(db).allViews();
    const schema = {
      features: new Map(views.flatMap((view) => view.features).map(({ name, type }) => [name, type])),
    };
    const segments = (await new SegmentReader(db).active()).flatMap((stored) => {
      if (stored.activeRule === null) return [];
      const { requires } = parseRule(stored.activeRule, schema);
      return [{ stored, rule: stored.activeRule, requires }];
    });
    const overlaps = new OverlapReader(db);
    const small = await guards.small(segments.map(({ stored }) => stored.id));
    const smallIds = small.map(({ segmentId }) => segmentId);
    const alike = { minJaccard: NEAR_DUPLICATE, segmentId: null, after: null, limit: MAX_SEGMENTS };
    return proposeMerges({
      ...{ segments, small, schema },
      alike: await overlaps.page(alike),
      near: await overlaps.of(smallIds, 0, MAX_NEAR),
      filters: await filters(),
      declined: await this.#declined(),
    });
  }

  /** @throws WeftError NOT_FOUND */
  async demand(key: string): Promise<MergeProposal> {
    const found = (await this.all()).find((proposal) => proposal.key === key);
    if (found !== undefined) return found;
    throw new WeftError('NOT_FOUND', `there is no proposal ${key.slice(0, 50)}`, {
      where: 'key',
      hint: 'weft segment proposals shows those that there are: one goes once either segment says anything else',
    });
  }

  /**
   * It is not made again for as long as neither of the two says anything else.
   * @throws WeftError NOT_FOUND
   */
  async decline(key: string): Promise<MergeProposal> {
    const { db, clock } = this.parts;
    const proposal = await this.demand(key);
    await db.transaction(async (tx) => {
      // What was declined of versions that are live no more cannot come again.
      await tx.execute(
        `DELETE FROM segment_proposal_declines d WHERE NOT EXISTS (
           SELECT FROM segments s WHERE s.id = d.segment_id AND s.stage = 'active' AND s.active_version = d.version
         ) OR d.other_id IS NOT NULL AND NOT EXISTS (
           SELECT FROM segments s WHERE s.id = d.other_id AND s.stage = 'active' AND s.active_version = d.other_version)`,
      );
      await tx.execute(
        `INSERT INTO segment_proposal_declines (key, segment_id, version, other_id, other_version, declined_at)
         SELECT $1::text, s.id, s.active_version, o.id, o.active_version, $4::int8
         FROM segments s LEFT JOIN segments o ON o.key = $3::text WHERE s.key = $2::text AND s.active_version IS NOT NULL
         ON CONFLICT (key) DO NOTHING`,
        [key, proposal.drop, proposal.keep, clock.now()],
      );
    });
    return proposal;
  }

  async #declined(): Promise<Set<string>> {
    const rows = await this.parts.db.query<{ key: string }>('SELECT key FROM segment_proposal_declines');
    return new Set(rows.map(({ key }) => key));
  }
}
