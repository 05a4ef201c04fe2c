import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How large segments were and how many entered and left, by hour and by day, and when that was unusual. */
export class HistoryOfSegments1700000895000 implements MigrationInterface {
  readonly name = 'HistoryOfSegments1700000895000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(
      `CREATE TABLE segment_periods (
         segment_id int NOT NULL REFERENCES segments (id),
         step_ms bigint NOT NULL,
         start bigint NOT NULL,
         size int,
         stayed int,
         sampled_seq bigint,
         entered bigint NOT NULL DEFAULT 0,
         exited bigint NOT NULL DEFAULT 0,
         edited bigint NOT NULL DEFAULT 0,
         PRIMARY KEY (segment_id, step_ms, start)
       )`,
    );
    await db.query('CREATE INDEX segment_periods_start ON segment_periods (step_ms, start)');
    // How far the feed is counted.
    await db.query(
      `CREATE TABLE segment_count_place (
         only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
         seq bigint NOT NULL
       )`,
    );
    await db.query('INSERT INTO segment_count_place (seq) VALUES (0)');
    await db.query(
      `CREATE TABLE segment_alerts (
         id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
         segment_id int NOT NULL REFERENCES segments (id),
         kind text NOT NULL,
         since bigint NOT NULL,
         ended_at bigint,
         expected bigint NOT NULL,
         seen bigint NOT NULL
       )`,
    );
    await db.query(
      'CREATE UNIQUE INDEX segment_alerts_open ON segment_alerts (segment_id, kind) WHERE ended_at IS NULL',
    );
    await db.query('CREATE INDEX segment_alerts_segment ON segment_alerts (segment_id, since DESC, id DESC)');
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE segment_alerts');
    await db.query('DROP TABLE segment_count_place');
    await db.query('DROP TABLE segment_periods');
  }
}
