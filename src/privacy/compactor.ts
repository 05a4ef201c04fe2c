import type { Clock } from '../platform/clock.js';
import { maintain } from '../platform/maintain.js';
import { outlastTransactions } from '../platform/outlast-transactions.js';
import type { Database, Queryable } from '../platform/postgres.js';
import type { KeyVault } from './key-vault.js';

export interface CompactorParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly sleep: (ms: number) => Promise<void>;
  /** Null: the log is not sealed, and has to be written anew like other tables. */
  readonly vault: KeyVault | null;
  /** For how long backups and the archived log of writes are kept, ms. */
  readonly backupHorizonMs: number;
}

/** What a compaction came to. */
export interface Compaction {
  /** Erasures whose last traces in the files of the tables are gone by it. */
  readonly compacted: number;
  /** Erasures that are physical now: backups of before are gone, too. */
  readonly physical: number;
  /** Changes of which traits are sealed whose plain values are gone from the files of the tables by it. */
  readonly sealed: number;
}

/** Large, and without anything about anybody but ids that are of nobody after an erasure. */
const SPARED: readonly string[] = ['changes', 'model_blobs', 'migrations'];
/** What values of traits are in, besides the sealed log. */
const WITH_TRAITS: readonly string[] = ['anchor_states', 'profile_search'];

const ERASED = `FROM erasures WHERE status = 'logical' AND compacted_at IS NULL`;
/** Keys of what was not sealed yet leave the index of profiles after the change itself. */
const SEALED = `FROM trait_rule_changes
  WHERE resealed <> '{}' AND finished_at IS NOT NULL AND compacted_at IS NULL
    AND NOT EXISTS (SELECT FROM search_fields WHERE retired)`;

/**
 * Takes the last traces of those who were erased, and of values of traits that were not sealed yet, out of the files of the
 * database. Deleted rows stay in the pages of a
 * table until it is written anew, which locks it meanwhile: so it is done seldom, for all since the last time.
 * The sealed log is only vacuumed: what is left in its pages is noise, its keys being destroyed.
 */
export class Compactor {
  constructor(private readonly parts: CompactorParts) {}

  /** When the eldest erasure that waits for this became logical, or the eldest sealing was done, ms; null: none waits. */
  async waitingSince(): Promise<number | null> {
    const [row] = await this.parts.db.query<{ at: number | null }>(
      `SELECT least((SELECT min(logical_at) ${ERASED}), (SELECT min(finished_at) ${SEALED})) AS at`,
    );
    return row?.at ?? null;
  }

  async run(): Promise<Compaction> {
    const { db, vault, clock } = this.parts;
    const erased = await db.query<{ id: string }>(`SELECT id ${ERASED}`);
    const sealed = await db.query<{ version: number }>(`SELECT version ${SEALED}`);
    if (erased.length + sealed.length > 0) {
      await this.#rewrite(erased.length > 0 ? await this.#tables() : WITH_TRAITS);
      if (erased.length > 0) await vault?.compact(this.parts.sleep);
      const now = clock.now();
      await db.query('UPDATE erasures SET compacted_at = $2 WHERE id = ANY ($1::uuid[])', [
        erased.map(({ id }) => id),
        now,
      ]);
      await db.query('UPDATE trait_rule_changes SET compacted_at = $2 WHERE version = ANY ($1::int8[])', [
        sealed.map(({ version }) => version),
        now,
      ]);
    }
    return { compacted: erased.length, physical: await this.settle(), sealed: sealed.length };
  }

  async #tables(): Promise<string[]> {
    const tables = await this.parts.db.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE relkind = 'r' AND nspname = current_schema() AND relname <> ALL ($1::text[]) ORDER BY relname`,
      [SPARED],
    );
    return tables.map(({ name }) => name);
  }

  async #rewrite(tables: readonly string[]): Promise<void> {
    const { db, sleep, vault } = this.parts;
    await outlastTransactions(db, sleep);
    const rewriting = tables.map((name) =>
      name === 'event_log' && vault !== null ? 'VACUUM (ANALYZE) event_log' : `VACUUM (FULL, ANALYZE) "${name}"`,
    );
    await maintain(db, rewriting);
    await this.#forgetSamples();
    // With samples of columns, which hold values: those of before are in its pages until it is written anew, too. A table
    // of some hundred rows; skipped with a warning where the user may not.
    await outlastTransactions(db, sleep);
    await maintain(db, ['VACUUM (FULL) pg_catalog.pg_statistic']);
  }

  /** Takes samples of columns away that the planner keeps of tables which are empty by now: ANALYZE leaves those as they are. */
  async #forgetSamples(): Promise<void> {
    const { db } = this.parts;
    const sampled = await db.query<{ name: string; columns: string[]; types: string[] }>(
      `SELECT c.relname AS name, array_agg(a.attname::text) AS columns,
              array_agg(format_type(a.atttypid, a.atttypmod)) AS types
       FROM pg_stats s JOIN pg_class c ON c.relname = s.tablename AND c.relnamespace = current_schema()::regnamespace
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname
       WHERE s.schemaname = current_schema() AND c.relkind = 'r' AND NOT s.inherited GROUP BY c.relname ORDER BY 1`,
    );
    const isEmpty = async (tx: Queryable, name: string): Promise<boolean> =>
      (await tx.query(`SELECT FROM "${name}" LIMIT 1`)).length === 0;
    for (const { name, columns, types } of sampled) {
      if (!(await isEmpty(db, name))) continue;
      await db.transaction(async (tx) => {
        await tx.query(`LOCK TABLE "${name}" IN ACCESS EXCLUSIVE MODE`);
        if (!(await isEmpty(tx, name))) return;
        // A column that is given a type, were it the one that it has, loses its samples; before PostgreSQL 18 nothing else
        // takes them away.
        const changes = columns.map((column, i) => `ALTER COLUMN "${column}" TYPE ${types[i] ?? ''}`);
        await tx.query(`ALTER TABLE "${name}" ${changes.join(', ')}`);
      });
    }
  }

  /** Marks those as physical whose backups are gone. */
  async settle(): Promise<number> {
    const { db, clock, backupHorizonMs } = this.parts;
    const now = clock.now();
    return db.execute(
      `UPDATE erasures SET status = 'physical', physical_at = $1 WHERE status = 'logical' AND compacted_at <= $2`,
      [now, now - backupHorizonMs],
    );
  }
}
