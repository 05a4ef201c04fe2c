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
    name: 'feed-advance',
    text: 'UPDATE feed_head SET seq = seq + $1 RETURNING seq',
    values: [changes.length],
  });
  if (head === undefined) throw new Error('feed_head has no row');
  const first = head.seq - changes.length + 1;
  const numbered = changes.map((change, i) => ({ ...change, seq: first + i }));
  await tx.run({
    name: 'feed-append',
    text: `INSERT INTO changes (seq, profile_id, segment_id, kind, at, version, cause)
           SELECT seq, profile_id, segment_id, kind, at, version, cause::jsonb
           FROM unnest($1::int8[], $2::uuid[], $3::int4[], $4::text[], $5::int8[], $6::int4[], $7::text[])
             AS t (seq, profile_id, segment_id, kind, at, version, cause)`,
    values: [
      int8Array(numbered, (c) => c.seq),
      uuidArray(numbered, (c) => c.profileId),
      int4Array(numbered, (c) => c.segmentId),
      textArray(numbered, (c) => c.kind),
      int8Array(numbered, (c) => c.at),
      int4Array(numbered, (c) => c.version),
      textArray(numbered, (c) => JSON.stringify(c.cause)),
    ],
  });
  return numbered;
}
