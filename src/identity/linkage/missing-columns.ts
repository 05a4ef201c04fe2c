import { WeftError } from '../../platform/errors.js';
import { columnsRead } from './link-records.js';
import type { LinkageModel } from './linkage-model.model.js';

/** Names of columns that a message lists. */
const MAX_NAMED = 20;

/**
 * The columns of a model that nothing in files fills.
 * @param columns of the files
 * @throws WeftError BAD_REQUEST where that is all of them: every record would be alone
 */
export function missingColumns(model: LinkageModel, columns: readonly string[]): string[] {
  const read = columnsRead(model);
  const has = new Set(columns);
  const missing = read.filter((name) => !sourcesOf(model, name).some((source) => has.has(source)));
  if (read.length > 0 && missing.length === read.length) {
    const wanted = [...new Set(read.flatMap((name) => sourcesOf(model, name)))];
    throw new WeftError('BAD_REQUEST', 'the files have none of the columns that the model reads', {
      where: `the columns ${named(columns)}`,
      hint: `separate columns by commas, and let the header have ${named(wanted)}`,
    });
  }
  return missing;
}

function sourcesOf({ columns }: LinkageModel, name: string): readonly string[] {
  return columns?.find((column) => column.name === name)?.from ?? [name];
}

function named(names: readonly string[]): string {
  return `${names.slice(0, MAX_NAMED).join(', ')}${names.length > MAX_NAMED ? ', …' : ''}`;
}
