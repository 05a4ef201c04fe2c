import { RE2JS } from 're2js';

import type { JsonObject, JsonValue } from '../events/event.model.js';
import {
  CLEANING_LIMITS,
  DECIMAL_MARKS,
  INVALID_POLICIES,
  LETTER_CASES,
  type ColumnCleaning,
  type Dedupe,
  type InvalidPolicy,
  type ValueRules,
} from './cleaning.model.js';
import type { MappingNode } from './mapping-node.js';
import { CsvSplitter } from './split-csv.js';
import type { SourceRow } from './row.model.js';

const FIELDS = ['trim', 'case', 'decimal', 'map', 'mapFile', 'impute', 'validate'];
const RULES = ['required', 'unique', 'pattern', 'min', 'max', 'oneOf', 'otherwise'];
const MAX_PATTERN_LENGTH = 1_000;

/** Reads the text of a table that a mapping names by its path. @throws Error where it cannot be read */
export type TableReader = (path: string) => string;

/**
 * What `clean` says of each column. Tables of files become part of what the mapping says, so that it is whole by itself
 * and its hash is that of what it does.
 * @param content the mapping as JSON, in which they are filled in
 */
export function parseCleaning(
  node: MappingNode | undefined,
  content: JsonObject,
  readTable: TableReader | null,
): ColumnCleaning[] {
  return [...(node?.fields() ?? [])].flatMap(([column, child]) => {
    const fields = child.knownFields(FIELDS);
    if (fields === undefined) return [];
    const mapFile = fields.get('mapFile');
    if (mapFile !== undefined && fields.has('map')) mapFile.problem('stands beside "map"; one of them');
    const file = mapFile === undefined ? null : tableOfFile(mapFile, readTable);
    if (file !== null) fillIn(content, column, file);
    return [
      {
        column,
        trim: flag(fields.get('trim')),
        letterCase: fields.get('case')?.oneOf(LETTER_CASES) ?? null,
        decimal: fields.get('decimal')?.oneOf(DECIMAL_MARKS) ?? null,
        table: file ?? tableOf(fields.get('map')),
        impute: imputeOf(fields.get('impute')),
        rules: rulesOf(fields.get('validate')),
      },
    ];
  });
}

export function parseDedupe(node: MappingNode | undefined): Dedupe | null {
  const fields = node?.knownFields(['by', 'keep', 'within']);
  if (node === undefined || fields === undefined) return null;
  const by = fields.get('by')?.strings() ?? [];
  if (by.length === 0) node.problem('"by" must name at least one column');
  return {
    by,
    keep: fields.get('keep')?.oneOf(['first', 'last'] as const) ?? 'first',
    withinRows: fields.get('within')?.integer(1, CLEANING_LIMITS.maxWithinRows) ?? CLEANING_LIMITS.defaultWithinRows,
  };
}

function flag(node: MappingNode | undefined): boolean {
  const value = node?.json() ?? false;
  if (typeof value === 'boolean') return value;
  node?.problem('must be true or false');
  return false;
}

function tableOf(node: MappingNode | undefined): Map<string, string> | null {
  const fields = node?.fields();
  if (node === undefined || fields === undefined) return null;
  const table = new Map<string, string>();
  for (const [from, child] of fields) {
    const to = child.json();
    if (to !== null && typeof to === 'object') child.problem('must be a text');
    else table.set(from, to === null ? '' : String(to));
  }
  return checkSize(node, table);
}

/** Two columns without a header: what is there, and what it becomes. */
function tableOfFile(node: MappingNode, readTable: TableReader | null): Map<string, string> | null {
  const path = node.string();
  if (path === undefined) return null;
  if (readTable === null) return none(node, 'is a file, which only weft load reads; write its table as "map"');
  let text: string;
  try {
    text = readTable(path);
  } catch (error) {
    return none(node, `cannot be read: ${error instanceof Error ? error.message : 'unknown'}`);
  }
  const rows: SourceRow[] = [];
  const splitter = new CsvSplitter(',', 2);
  splitter.push(text, false, rows);
  splitter.end(false, rows);
  const faulty = rows.find(({ fault }) => fault !== null);
  if (faulty !== undefined) node.problem(`row ${String(faulty.number)} of it: ${faulty.fault?.reason ?? ''}`);
  return checkSize(node, new Map(rows.map(({ cells }) => [cells?.[0] ?? '', cells?.[1] ?? ''])));
}

function none(node: MappingNode, message: string): null {
  node.problem(message);
  return null;
}

function checkSize(node: MappingNode, table: Map<string, string>): Map<string, string> {
  if (table.size > CLEANING_LIMITS.maxTableEntries) {
    node.problem(`a table has at most ${String(CLEANING_LIMITS.maxTableEntries)} entries`);
  }
  return table;
}

function fillIn(content: JsonObject, column: string, table: ReadonlyMap<string, string>): void {
  const clean = content['clean'] as JsonObject;
  const { mapFile: _, ...others } = clean[column] as JsonObject;
  clean[column] = { ...others, map: Object.fromEntries(table) };
}

function imputeOf(node: MappingNode | undefined): ColumnCleaning['impute'] {
  if (node === undefined) return null;
  if (!node.isMap) return node.oneOf(['previous'] as const) ?? null;
  const value: JsonValue | undefined = node.knownFields(['value'])?.get('value')?.json();
  if (value !== undefined && value !== null && typeof value !== 'object') return { value: String(value) };
  return none(node, 'must be "previous" or { value: … }');
}

function rulesOf(node: MappingNode | undefined): ValueRules | null {
  const fields = node?.knownFields(RULES);
  if (fields === undefined) return null;
  const bound = (name: string): number | null => fields.get(name)?.number(-Number.MAX_VALUE, Number.MAX_VALUE) ?? null;
  const oneOf = fields.get('oneOf')?.items();
  return {
    required: flag(fields.get('required')),
    unique: flag(fields.get('unique')),
    pattern: patternOf(fields.get('pattern')),
    min: bound('min'),
    max: bound('max'),
    oneOf: oneOf === undefined ? null : new Set(oneOf.map(textOf)),
    otherwise: policyOf(fields.get('otherwise')),
  };
}

function textOf(node: MappingNode): string {
  const value = node.json();
  if (typeof value === 'string') return value;
  if (value !== null && typeof value === 'object') node.problem('must be a text, a number or a boolean');
  return JSON.stringify(value);
}

/** YAML reads a bare null as none. */
function policyOf(node: MappingNode | undefined): InvalidPolicy {
  if (node === undefined) return 'refuse';
  return node.json() === null ? 'null' : (node.oneOf(INVALID_POLICIES) ?? 'refuse');
}

function patternOf(node: MappingNode | undefined): RE2JS | null {
  const source = node?.string();
  if (node === undefined || source === undefined) return null;
  if (source.length > MAX_PATTERN_LENGTH) {
    return none(node, `a pattern has at most ${String(MAX_PATTERN_LENGTH)} characters`);
  }
  try {
    return RE2JS.compile(source);
  } catch (error) {
    return none(node, `not a pattern of RE2: ${error instanceof Error ? error.message : 'unknown'}`);
  }
}
