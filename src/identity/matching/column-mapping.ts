import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import { columnsRead } from '../linkage/link-records.js';
import type { LinkageModel } from '../linkage/linkage-model.model.js';
import type { ColumnMapping, ColumnSource } from './matching.model.js';

/** What columns can be filled from. */
export interface KnownSources {
  /** Traits that are defined or were sent. */
  readonly traits: ReadonlySet<string>;
  /** False: there are more than were looked at. */
  readonly areTraitsComplete: boolean;
  /** Traits whose values nobody may keep in plain text. */
  readonly sealedTraits: ReadonlySet<string>;
  readonly namespaces: ReadonlySet<string>;
}

/** Columns of records that the model reads. */
export function recordColumns(model: LinkageModel): string[] {
  const columns = model.columns === null ? columnsRead(model) : model.columns.flatMap(({ from }) => from);
  return [...new Set(columns)].sort();
}

/**
 * Where each column of the model is filled from: as asked, else from the trait of its name, else from the namespace.
 * @param asked of some columns
 * @throws WeftError BAD_REQUEST that says which column, trait or namespace there is not, and what was meant
 */
export function mapColumns(model: LinkageModel, asked: ColumnMapping, known: KnownSources): ColumnMapping {
  const columns = recordColumns(model);
  for (const column of Object.keys(asked)) {
    if (columns.includes(column)) continue;
    throw new WeftError('BAD_REQUEST', `the model reads no column ${column}`, {
      where: 'mapping',
      hint: nameHint(column, columns, `it reads ${columns.join(', ')}`),
    });
  }
  const mapping: Record<string, ColumnSource> = {};
  for (const column of columns) mapping[column] = checked(asked[column] ?? inferred(column, known), known);
  return mapping;
}

function inferred(column: string, { traits, namespaces }: KnownSources): ColumnSource {
  if (traits.has(column) || !namespaces.has(column)) return { kind: 'trait', name: column };
  return { kind: 'identifier', name: column };
}

function checked(source: ColumnSource, known: KnownSources): ColumnSource {
  const { traits, areTraitsComplete, namespaces, sealedTraits } = known;
  const { kind, name } = source;
  if (kind === 'trait' && sealedTraits.has(name)) {
    throw new WeftError('BAD_REQUEST', `the trait ${name} is sealed`, {
      where: 'mapping',
      hint: 'what a model compares is kept in plain text: map its columns to traits that are not sealed',
    });
  }
  const isKnown = kind === 'trait' ? traits.has(name) || !areTraitsComplete : namespaces.has(name);
  if (isKnown) return source;
  const names = kind === 'trait' ? traits : namespaces;
  const what = kind === 'trait' ? 'nobody has a trait' : 'there is no namespace';
  throw new WeftError('BAD_REQUEST', `${what} ${name}`, {
    where: 'mapping',
    hint: `${nameHint(name, names, 'weft traits list and weft traits infer show what there is')}; say where a column is from by --map column=trait:name or column=identifier:namespace`,
  });
}

/** @param text as `trait:birthday` or `identifier:email` @throws WeftError BAD_REQUEST */
export function parseSource(text: string): ColumnSource {
  const [kind, ...name] = text.split(':');
  if ((kind === 'trait' || kind === 'identifier') && name.join(':') !== '') return { kind, name: name.join(':') };
  throw new WeftError('BAD_REQUEST', 'a column is filled from a trait or an identifier', {
    where: 'mapping',
    hint: 'write trait:birthday or identifier:email',
  });
}

export function sourceText({ kind, name }: ColumnSource): string {
  return `${kind}:${name}`;
}
