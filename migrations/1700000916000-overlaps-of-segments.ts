import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What segments have in common, as it was measured last; all of it is replaced by the next measurement. */
export class OverlapsOfSegments1700000916000 implements MigrationInterface {
  readonly name = 'OverlapsOfSegments1700000916000';

  async up(db: QueryRunner): Promise<void> {
    // A shadow has the negative id of its segment, so these refer to no table.
    await db.query(
      `CREATE TABLE segment_overlaps (
         segment_id int NOT NULL,
         other_id int NOT NULL,
         version int NOT NULL,
         other_version int NOT NULL,
         size bigint NOT NULL,
         other_size bigint NOT NULL,
         common bigint NOT NULL,
         jaccard double precision NOT NULL,
         PRIMARY KEY (segment_id, other_id)
       )`,
    );
    await db.query('CREATE INDEX segment_overlaps_jaccard ON segment_overlaps (jaccard DESC, segment_id, other_id)');
    await db.query('CREATE INDEX segment_overlaps_other ON segment_overlaps (other_id)');
    await db.query(
      `CREATE TABLE segment_overlap_run (
         only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
         measured_at bigint,
         share double precision NOT NULL DEFAULT 1,
         left_out int NOT NULL DEFAULT 0,
         versions text NOT NULL DEFAULT ''
       )`,
    );
    await db.query('INSERT INTO segment_overlap_run DEFAULT VALUES');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE segment_overlap_run');
    await db.query('DROP TABLE segment_overlaps');
  }
}
