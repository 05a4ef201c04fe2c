import type { Identifier, JsonValue } from '../../events/event.model.js';
import type { LinkageModel, LinkageRecord, LinkageValue } from '../linkage/linkage-model.model.js';
import type { ColumnMapping, ColumnSource } from './matching.model.js';

/** What is known of a person that a record is made of. */
export interface RecordParts {
  readonly id: string;
  readonly identifiers: readonly Identifier[];
  /** Values by name. */
  readonly traits: ReadonlyMap<string, JsonValue>;
}

/** Columns of records that are read as lists whatever they are. */
export function listColumns({ columns, blockingRules }: LinkageModel): ReadonlySet<string> {
  const lists = new Set(blockingRules.flatMap((rule) => rule.listColumns));
  if (columns === null) return lists;
  return new Set(columns.flatMap(({ kind, from }) => (kind === 'list' ? from : [])));
}

/**
 * The record of a person, of the set of what is known alone. Of several identifiers of one namespace, a column that is no
 * list has the least.
 * @returns null where nothing is known that the model reads
 */
export function makeRecord(
  { id, identifiers, traits }: RecordParts,
  mapping: ColumnMapping,
  lists: ReadonlySet<string>,
): LinkageRecord | null {
  const values: Record<string, LinkageValue> = {};
  for (const column of Object.keys(mapping).sort()) {
    const source = mapping[column] as ColumnSource;
    const found = foundBy(source, identifiers, traits);
    const isList = lists.has(column) || (source.kind === 'trait' && Array.isArray(traits.get(source.name)));
    if (found.length > 0) values[column] = isList ? found : (found[0] ?? null);
  }
  return Object.keys(values).length === 0 ? null : { id, values };
}

function foundBy(
  { kind, name }: ColumnSource,
  identifiers: readonly Identifier[],
  traits: ReadonlyMap<string, JsonValue>,
): string[] {
  if (kind === 'trait') return textsOf(traits.get(name) ?? null);
  return identifiers.flatMap(({ ns, value }) => (ns === name ? [value] : [])).sort();
}

/** Texts of a value; objects and what is inside lists of lists say nothing. */
function textsOf(value: JsonValue): string[] {
  const items = Array.isArray(value) ? value : [value];
  return items.flatMap((item) => {
    if (typeof item === 'string') return item === '' ? [] : [item];
    return typeof item === 'number' || typeof item === 'boolean' ? [String(item)] : [];
  });
}
