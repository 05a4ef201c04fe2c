import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a segment says beside its condition: when members leave, how long they stay at least, and when it is on. */
export class MemoryOfSegments1700000863000 implements MigrationInterface {
  readonly name = 'MemoryOfSegments1700000863000';

  async up(db: QueryRunner): Promise<void> {
    // Times in ms; null: there is none.
    await db.query(
      `ALTER TABLE segment_versions
         ADD COLUMN exit_expression text,
         ADD COLUMN min_dwell_ms bigint CHECK (min_dwell_ms > 0),
         ADD COLUMN active_from bigint,
         ADD COLUMN active_until bigint,
         ADD CHECK (active_from < active_until)`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query(
      `ALTER TABLE segment_versions
         DROP COLUMN exit_expression, DROP COLUMN min_dwell_ms, DROP COLUMN active_from, DROP COLUMN active_until`,
    );
  }
}
