import { int4Array, int8Array, textArray, uuidArray } from '../platform/binary-arrays.js';
import type { Transaction } from '../platform/postgres.js';
import type { SegmentChange } from '../segments/segment.model.js';

/**
 * Appends changes to the feed and returns them with their positions.
 *
 * Must be the last lock of its transaction: the one row of `feed_head` stays locked until commit, so positions become
 * visible in their own order and without gaps, and a reader at position n never has to look below n again.
 */
export async function appendChanges(
  tx: Transaction,
  changes: readonly Omit<SegmentChange, 'seq'>[],
): Promise<SegmentChange[]> {
  if (changes.length === 0) return [];
  const {
    rows: [head],
  } = await tx.run<{ seq: number }>({
    name: 'feed-append',
    text: `WITH head AS (
             UPDATE feed_head SET seq = seq + $1::int8 RETURNING seq
           ), appended AS (
             INSERT INTO changes (seq, profile_id, segment_id, kind, at, version, cause, models)
             SELECT head.seq - $1::int8 + n, profile_id, segment_id, kind, at, version, cause::jsonb,
                    nullif(models, '')::jsonb
             FROM head, unnest($2::uuid[], $3::int4[], $4::text[], $5::int8[], $6::int4[], $7::text[], $8::text[])
               WITH ORDINALITY AS t (profile_id, segment_id, kind, at, version, cause, models, n)
           )
           SELECT seq FROM head`,
    values: [
      changes.length,
      uuidArray(changes, (c) => c.profileId),
      int4Array(changes, (c) => c.segmentId),
      textArray(changes, (c) => c.kind),
      int8Array(changes, (c) => c.at),
      int4Array(changes, (c) => c.version),
      textArray(changes, (c) => JSON.stringify(c.cause)),
      textArray(changes, (c) => (c.models === undefined ? '' : JSON.stringify(c.models))),
    ],
  });
  if (head === undefined) throw new Error('feed_head has no row');
  const first = head.seq - changes.length + 1;
  return changes.map((change, i) => ({ ...change, seq: first + i }));
}
