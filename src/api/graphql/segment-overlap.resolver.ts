import { Arg, Authorized, Ctx, Float, Int, Query, Resolver } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import { jaccardError, relationOf } from '../../segments/overlap.model.js';
import { OverlapReader, type OverlapPosition } from '../../segments/overlap.reader.js';
import { SegmentReader } from '../../segments/segment.reader.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { damagedCursor, SEGMENT_PAIR_CURSOR } from './cursors.js';
import { SegmentPairConnection, type SegmentPairType } from './segment-overlap.types.js';

const MAX_ID = 2 ** 31 - 1;

/** Which segments are much the same. */
@Resolver()
export class SegmentOverlapResolver {
  @Authorized('read')
  @Query(() => SegmentPairConnection, {
    description:
      'Live segments that have members in common, those most alike first. It is measured every hour, and within minutes ' +
      'after one was activated; before that there are none.',
  })
  async segmentOverlaps(
    @Ctx() { services, reads }: ApiContext,
    @Arg('minJaccard', () => Float, { defaultValue: 0.5, description: 'How alike they are at least, from 0 to 1.' })
    minJaccard: number,
    @Arg('segment', () => String, { nullable: true, description: 'Only pairs of this one, by its key. Default: all.' })
    segment: string | null | undefined,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<SegmentPairType>>> {
    const limit = pageSize(first);
    if (!(minJaccard >= 0 && minJaccard <= 1)) {
      throw new WeftError('BAD_REQUEST', 'a Jaccard index is from 0 to 1', {
        where: 'minJaccard',
        hint: 'give 0.9 for near duplicates',
      });
    }
    const from = typeof after === 'string' ? positionOf(after) : null;
    reads.countSingleRead('segmentOverlaps');
    const one = typeof segment === 'string' ? await reads.segment(segment) : null;
    const reader = new OverlapReader(services.db);
    const run = await reader.run();
    if (run === null) return connection([], limit, after);
    const pairs = await reader.page({ minJaccard, segmentId: one?.id ?? null, after: from, limit: limit + 1 });
    const ids = new Set(pairs.flatMap(({ segmentId, otherId }) => [segmentId, otherId]));
    const keys = new Map((await new SegmentReader(services.db).byIds([...ids])).map(({ id, key }) => [id, key]));
    const edges = pairs.map(({ segmentId, otherId, ...counts }) => ({
      cursor: SEGMENT_PAIR_CURSOR.encode({ jaccard: String(counts.jaccard), segmentId, otherId }),
      node: {
        ...{ segment: keys.get(segmentId) ?? '', other: keys.get(otherId) ?? '', ...counts },
        error: jaccardError(counts, run.share),
        relation: relationOf(counts),
        measuredAt: run.measuredAt,
      },
    }));
    return connection(edges, limit, after);
  }
}

/** @throws WeftError CURSOR_INVALID */
function positionOf(after: string): OverlapPosition {
  const { jaccard: text, segmentId, otherId } = SEGMENT_PAIR_CURSOR.decode(after);
  const jaccard = Number(text);
  const isId = (id: number): boolean => id >= 0 && id <= MAX_ID;
  if (!(jaccard >= 0 && jaccard <= 1) || !isId(segmentId) || !isId(otherId)) throw damagedCursor();
  return { jaccard, segmentId, otherId };
}
