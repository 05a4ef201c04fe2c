import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * What came in from each source, by the hour (`hour`: its beginning, ms). Counts of single events stand beside the sums,
 * because there are many of them and the sums are read every few minutes. `event` is the name as features match on it;
 * '' stands for all that are beyond the bound, and for what was no event.
 */
export class SourceActivity1700000320000 implements MigrationInterface {
  readonly name = 'SourceActivity1700000320000';

  async up(db: QueryRunner): Promise<void> {
    await db.query(`CREATE TABLE source_hours (
      source_id int NOT NULL,
      hour bigint NOT NULL,
      ${COUNTS},
      PRIMARY KEY (source_id, hour)
    ) WITH (fillfactor = 70)`);
    await db.query('CREATE INDEX source_hours_hour ON source_hours (hour)');
    await db.query(`CREATE TABLE source_event_hours (
      source_id int NOT NULL,
      hour bigint NOT NULL,
      event text NOT NULL,
      ${COUNTS},
      PRIMARY KEY (source_id, hour, event)
    ) WITH (fillfactor = 70)`);
    await db.query('CREATE INDEX source_event_hours_hour ON source_event_hours (hour)');
    await db.query(`CREATE TABLE source_seen (
      source_id int PRIMARY KEY,
      last_seen_at bigint NOT NULL
    ) WITH (fillfactor = 50)`);
  }

  async down(db: QueryRunner): Promise<void> {
    await db.query('DROP TABLE source_seen, source_event_hours, source_hours');
  }
}

/** `flagged` and `loaded` (history) are among those accepted. */
const COUNTS = ['accepted', 'duplicates', 'refused', 'flagged', 'loaded']
  .map((name) => `${name} bigint NOT NULL DEFAULT 0`)
  .join(', ');
