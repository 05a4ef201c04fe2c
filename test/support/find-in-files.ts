import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Queryable } from '../../src/platform/postgres.js';

/** Which of the texts are in the files of the database's tables and indexes as of the last checkpoint, in whatever case. */
export async function findInFiles(db: Queryable, texts: readonly string[]): Promise<string[]> {
  const [place] = await db.query<{ folder: string }>(
    `SELECT current_setting('data_directory') || '/base/' || oid AS folder FROM pg_database
     WHERE datname = current_database()`,
  );
  const folder = place?.folder ?? '';
  const found = new Set<string>();
  for (const name of await readdir(folder)) {
    const bytes = (await readFile(join(folder, name)).catch(() => Buffer.alloc(0))).toString('latin1').toLowerCase();
    for (const text of texts) if (bytes.includes(text.toLowerCase())) found.add(text);
  }
  return [...found];
}
