import type { Queryable } from '../../src/platform/postgres.js';

/** A place in the database that holds one of the texts looked for. */
export interface FoundText {
  readonly place: string;
  readonly text: string;
  readonly rows: number;
}

/**
 * Where any of these texts is in the database, in lower or upper case: every table and column that the catalogue knows,
 * bytes included, and the planner's statistics.
 * @param leastTables that there have to be: a search of fewer would say nothing
 */
export async function findTexts(db: Queryable, texts: readonly string[], leastTables = 20): Promise<FoundText[]> {
  const tables = await db.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
     ORDER BY 1`,
  );
  if (tables.length < leastTables) throw new Error('the catalogue shows too few tables to search');
  const places = [...tables.map(({ name }) => name), 'pg_stats', 'pg_stats_ext', 'pg_stats_ext_exprs'];
  const forms = texts.flatMap((text) => [
    { text, form: text.toLowerCase() },
    { text, form: Buffer.from(text).toString('hex') },
  ]);
  const found: FoundText[] = [];
  for (const place of places) {
    const rows = await db.query<{ form: string; rows: number }>(
      `SELECT f.form, count(*) AS rows FROM ${place} t JOIN unnest($1::text[]) AS f (form)
         ON position(f.form IN lower(t::text)) > 0 GROUP BY f.form`,
      [forms.map(({ form }) => form)],
    );
    for (const { form, rows: count } of rows) {
      found.push({ place, text: forms.find((each) => each.form === form)?.text ?? form, rows: count });
    }
  }
  return found;
}
