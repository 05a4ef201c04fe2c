import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * How many of its members a segment kept when what decides changed (`segment_refreshes`), and what was live when that was
 * measured last, how far the feed was by then, and the recomputation that had ended last (`segment_refresh_place`).
 */
export class RefreshesOfSegments1700000915000 implements MigrationInterface {
  readonly name = 'RefreshesOfSegments1700000915000';

  async up(db: QueryRunner): Promise<void> {
    for (const statement of UP) await db.query(statement);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE segment_refresh_place');
    await db.query('DROP TABLE segment_refreshes');
  }
}

const UP = [
  `CREATE TABLE segment_refreshes (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     segment_id int NOT NULL REFERENCES segments (id),
     kind text NOT NULL CHECK (kind IN ('edit', 'model', 'recompute')),
     measured_at bigint NOT NULL,
     version_before int NOT NULL,
     version int NOT NULL,
     models jsonb NOT NULL,
     before bigint NOT NULL,
     entered bigint NOT NULL,
     exited bigint NOT NULL,
     share double precision NOT NULL,
     adjusted_rand double precision
   )`,
  'CREATE INDEX segment_refreshes_segment ON segment_refreshes (segment_id, id DESC)',
  // What is live: versions of segments by id, and by key which versions of models answer, in words.
  `CREATE TABLE segment_refresh_place (
     only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
     seq bigint NOT NULL,
     definitions_version bigint NOT NULL,
     segments jsonb NOT NULL,
     models jsonb NOT NULL,
     recompute_id uuid,
     recomputed_at bigint NOT NULL DEFAULT 0
   )`,
  `INSERT INTO segment_refresh_place (seq, definitions_version, segments, models, recompute_id, recomputed_at)
   SELECT h.seq, i.definitions_version,
          (SELECT coalesce(jsonb_object_agg(id, active_version), '{}') FROM segments WHERE stage = 'active'),
          (SELECT coalesce(jsonb_object_agg(key, answering), '{}') FROM (
             SELECT key, string_agg(CASE stage WHEN 'active' THEN version::text
                                    ELSE version || ' for ' || canary_percent || ' %' END, ', ' ORDER BY stage) AS answering
             FROM models WHERE stage IN ('active', 'canary') GROUP BY key) m),
          r.id, coalesce(r.finished_at, 0)
   FROM feed_head h CROSS JOIN installation i LEFT JOIN (
     SELECT id, finished_at FROM segment_recomputes WHERE status = 'done' ORDER BY finished_at DESC, id LIMIT 1) r ON true`,
];
