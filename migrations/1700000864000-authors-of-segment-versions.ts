import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Who wrote a version of a segment, and which earlier one it brings back. */
export class AuthorsOfSegmentVersions1700000864000 implements MigrationInterface {
  readonly name = 'AuthorsOfSegmentVersions1700000864000';

  async up(db: QueryRunner): Promise<void> {
    // Null where it was not kept.
    await db.query('ALTER TABLE segment_versions ADD COLUMN created_by text, ADD COLUMN restored_from int');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('ALTER TABLE segment_versions DROP COLUMN created_by, DROP COLUMN restored_from');
  }
}
