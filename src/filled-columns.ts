import type { DefinitionsLoader } from './definitions.js';
import { componentsAfter } from './identity/component-page.reader.js';
import type { FilledColumns } from './identity/matching/models.command.js';
import { LinkageModelReader } from './identity/matching/linkage-model.reader.js';
import type { MatchedRecords } from './matched-records.js';
import type { Database } from './platform/postgres.js';

export interface FilledColumnsParts {
  readonly db: Database;
  readonly definitions: Pick<DefinitionsLoader, 'current'>;
  readonly records: MatchedRecords;
}

const MAX_SAMPLED = 1_000;
const COMPONENTS_PER_PAGE = 200;

/**
 * For how many profiles the columns of a model that was activated are filled, read as the model reads them. Of the first
 * groups of identifiers by id, which is a hash: of some at random.
 */
export async function readFilledColumns(
  { db, definitions, records }: FilledColumnsParts,
  version: string,
): Promise<FilledColumns> {
  const applied = await new LinkageModelReader(db).applied(version);
  if (applied === null) return { profiles: 0, filled: {} };
  const { identityRules: rules } = await definitions.current();
  const counts = new Map(Object.keys(applied.mapping).map((column) => [column, 0]));
  const ids = await componentsAfter(db, null, MAX_SAMPLED);
  let found = 0;
  for (let at = 0; at < ids.length; at += COMPONENTS_PER_PAGE) {
    const page = ids.slice(at, at + COMPONENTS_PER_PAGE);
    const read = await db.transaction((tx) => records.around(tx, page, { ...applied, rules }), {
      isolation: 'REPEATABLE READ',
      readOnly: true,
    });
    found += Math.max(read.found.size, page.length);
    for (const { record } of read.found.values()) {
      for (const [column, count] of counts) {
        if (record.values[column] != null) counts.set(column, count + 1);
      }
    }
  }
  return { profiles: found, filled: Object.fromEntries(counts) };
}
