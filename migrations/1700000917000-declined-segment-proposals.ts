import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Proposals to merge segments that somebody declined: for as long as neither says anything else. */
export class DeclinedSegmentProposals1700000917000 implements MigrationInterface {
  readonly name = 'DeclinedSegmentProposals1700000917000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE segment_proposal_declines (
         key text PRIMARY KEY,
         segment_id int NOT NULL REFERENCES segments (id),
         version int NOT NULL,
         other_id int REFERENCES segments (id),
         other_version int,
         declined_at bigint NOT NULL
       )`,
    );
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE segment_proposal_declines');
  }
}
