import { WeftError } from '../../platform/errors.js';
import { nameHint, nearestName } from '../../platform/near-names.js';
import { columnsRead } from '../linkage/link-records.js';
import type { LinkageModel } from '../linkage/linkage-model.model.js';
import type { ColumnMapping, ColumnSource } from './matching.model.js';

/** What columns can be filled from. */
export interface KnownSources {
  /** Traits that are defined or were sent. */
  readonly traits: ReadonlySet<string>;
  /** False: there are more than were looked at. */
  readonly areTraitsComplete: boolean;
  /** Traits whose values nobody may keep in plain text, and those that are still being opened. */
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
  const sources = columns.map((column) => [column, asked[column] ?? inferred(column, known)] as const);
  const unknown = sources.filter(([, source]) => !isKnown(source, known)).map(([, source]) => source);
  if (unknown.length > 0) throw unfilled(unknown, known);
  const mapping = Object.fromEntries(sources);
  demandUnsealed(mapping, known.sealedTraits);
  return mapping;
}

/**
 * What a model compares is kept in plain text.
 * @throws WeftError BAD_REQUEST
 */
export function demandUnsealed(mapping: ColumnMapping, sealedTraits: ReadonlySet<string>): void {
  const sealed = Object.values(mapping).find(({ kind, name }) => kind === 'trait' && sealedTraits.has(name));
  if (sealed === undefined) return;
  throw new WeftError('BAD_REQUEST', `the trait ${sealed.name} is sealed`, {
    where: 'mapping',
    hint: 'what a model compares is kept in plain text: map its columns to traits that are not sealed',
  });
}

function inferred(column: string, { traits, namespaces }: KnownSources): ColumnSource {
  if (traits.has(column) || !namespaces.has(column)) return { kind: 'trait', name: column };
  return { kind: 'identifier', name: column };
}

function isKnown({ kind, name }: ColumnSource, { traits, areTraitsComplete, namespaces }: KnownSources): boolean {
  return kind === 'trait' ? traits.has(name) || !areTraitsComplete : namespaces.has(name);
}

/** All that there is not, so that nobody has to find out one by one. */
function unfilled(unknown: readonly ColumnSource[], { traits, namespaces }: KnownSources): WeftError {
  const named = (wanted: ColumnSource['kind']): string[] => [
    ...new Set(unknown.filter(({ kind }) => kind === wanted).map(({ name }) => name)),
  ];
  const [missingTraits, missingNamespaces] = [named('trait'), named('identifier')];
  const problems = [
    ...(missingTraits.length === 0 ? [] : [`nobody has ${traitsText(missingTraits)}`]),
    ...(missingNamespaces.length === 0 ? [] : [`there is no namespace ${missingNamespaces.join(', ')}`]),
  ];
  return new WeftError('BAD_REQUEST', problems.join('; '), {
    where: 'mapping',
    hint: `${meant(missingTraits, traits)}${meant(missingNamespaces, namespaces)}weft traits list and weft traits infer show what there is; say where a column is from by --map column=trait:name or column=identifier:namespace`,
  });
}

function traitsText(names: readonly string[]): string {
  return `${names.length === 1 ? 'a trait' : 'the traits'} ${names.join(', ')}`;
}

/** What each of these was probably meant to be. */
function meant(names: readonly string[], known: ReadonlySet<string>): string {
  return names
    .flatMap((name) => {
      const near = nearestName(name, known);
      return near === undefined ? [] : [`for ${name}, did you mean ${near}? `];
    })
    .join('');
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
