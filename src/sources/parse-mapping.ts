import { hash } from 'node:crypto';

import { EVENT_TYPES, isNamespace, type JsonObject } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { isKey } from '../platform/key.js';
import { ENCODINGS } from './decode-text.js';
import { parseErrorLimit } from './load.model.js';
import {
  MAPPING_LIMITS,
  type Choice,
  type ColumnValue,
  type FieldValue,
  type Grouping,
  type KeyTemplate,
  type Mapping,
  type NamedValue,
  type RowIdValue,
  type RowValue,
} from './mapping.model.js';
import { ExpressionCompiler, ExpressionProblem, type RowExpression } from './mapping-expression.js';
import { MappingText, type MappingNode } from './mapping-node.js';
import { parseLoadExpectations } from './parse-load-expectations.js';
import { compileTime } from './mapping-time.js';
import { COLUMN_TYPES, TRANSFORMS, type ColumnType } from './mapping-value.js';
import { parseCleaning, parseDedupe, type TableReader } from './parse-cleaning.js';
import { FILE_FORMATS, type FileFormat } from './row.model.js';
import { parseWarehouse } from './warehouse/parse-warehouse.js';

/** Grows when the same mapping would make other events or group rows otherwise; part of a mapping's hash. */
const SEMANTICS_VERSION = 1;
const DEFAULT_WITHIN_ROWS = 10_000;
const DEFAULT_LINES = 500;
const ROOT_FIELDS = [
  'source',
  'entity',
  'from',
  'format',
  'encoding',
  'delimiter',
  'header',
  'nulls',
  'columns',
  'clean',
  'dedupe',
  'group',
  'key',
  'when',
  'time',
  'identifiers',
  'event',
  'properties',
  'traits',
  'context',
  'consents',
  'errors',
  'expect',
];
const ANY_SCALAR = ['bool', 'int', 'uint', 'double', 'string', 'null'];
const NUMBER = ['int', 'uint', 'double'];

/**
 * Reads a mapping file.
 * @param name how errors name the file
 * @param readTable reads tables that it names by path; null: there are no files
 * @throws WeftError DEFINITION_INVALID with every problem at once, each with `line:column`; PAYLOAD_TOO_LARGE.
 */
export function parseMapping(yaml: string, name = 'mapping', readTable: TableReader | null = null): Mapping {
  if (Buffer.byteLength(yaml) > MAPPING_LIMITS.maxFileBytes) {
    const message = `a mapping has at most ${String(MAPPING_LIMITS.maxFileBytes)} bytes`;
    throw new WeftError('PAYLOAD_TOO_LARGE', message, { where: name });
  }
  const text = new MappingText(yaml);
  const mapping = text.problems.length === 0 ? new MappingParser(text, readTable).parse() : undefined;
  if (mapping !== undefined && text.problems.length === 0) return mapping;
  const [first] = text.problems;
  const lines = text.problems.map((p) => `${name}:${p.position} ${p.path === '' ? '' : `${p.path}: `}${p.message}`);
  const counted = lines.length === 1 ? 'the mapping has a problem' : `the mapping has ${String(lines.length)} problems`;
  throw new WeftError('DEFINITION_INVALID', `${counted}:\n  ${lines.join('\n  ')}`, {
    where: `${name}:${first?.position ?? '1:1'}`,
    hint: 'docs/loading.md describes every field',
  });
}

function pathsOf(part: string, values: readonly NamedValue<FieldValue>[]): string[] {
  return values.map(({ name }) => `${part}.${name}`);
}

class MappingParser {
  readonly #text: MappingText;
  readonly #columnTypes = new Map<string, ColumnType>();
  #expressions: ExpressionCompiler;
  #isGrouped = false;
  #values = 0;

  constructor(
    text: MappingText,
    private readonly readTable: TableReader | null,
  ) {
    this.#text = text;
    this.#expressions = new ExpressionCompiler(() => 'string');
  }

  parse(): Mapping | undefined {
    const root = this.#text.root;
    const fields = root.knownFields(ROOT_FIELDS);
    if (fields === undefined) return undefined;
    const required = (field: string, why: string): MappingNode | undefined =>
      fields.get(field) ?? root.problem(`"${field}" is missing: ${why}`);
    const fromNode = fields.get('from');
    const from = fromNode === undefined ? null : (parseWarehouse(fromNode) ?? null);
    const format = fromNode === undefined ? this.#format(required('format', 'csv, jsonl or parquet')) : 'jsonl';
    if (fromNode !== undefined) fields.get('format')?.problem('is of files: rows of a query have none');
    for (const [column, node] of fields.get('columns')?.fields() ?? []) {
      this.#columnTypes.set(column, node.oneOf(COLUMN_TYPES) ?? 'string');
    }
    const undeclared = format === 'csv' ? 'string' : 'json';
    this.#expressions = new ExpressionCompiler((column) => this.#columnTypes.get(column) ?? undeclared);
    const groupNode = fields.get('group');
    this.#isGrouped = groupNode !== undefined;

    const source = this.#sourceKey(required('source', 'the key of the source, such as orders'));
    const event = required('event', 'what a row becomes')?.knownFields(['type', 'name', 'groupId']);
    const typeNode = event?.get('type');
    if (event !== undefined && typeNode === undefined) fields.get('event')?.problem('"type" is missing');
    const type = typeNode === undefined ? undefined : this.#choice(typeNode, 'type', (node) => node.oneOf(EVENT_TYPES));
    const nameNode = event?.get('name');
    const eventName = nameNode === undefined ? null : (this.#choice(nameNode, 'name', (node) => node.string()) ?? null);
    if (type?.kind === 'constant' && type.value === 'track' && nameNode === undefined) {
      fields.get('event')?.problem('an event of type track needs a "name"');
    }
    const identifiers = this.#identifiers(required('identifiers', 'whose event it is'));
    const whenNode = fields.get('when');
    const said = this.#text.toJson() as JsonObject;
    const cleaning = parseCleaning(fields.get('clean'), said, this.readTable);
    const content = JSON.stringify(said);
    if (content.length > MAPPING_LIMITS.maxFileBytes) fields.get('clean')?.problem('its tables are too large');
    const entity = this.#entity(fields, identifiers.length);
    // What is expected makes no other events of a file, and so no other load.
    const { expect: _expect, ...events } = said;
    const mapping: Mapping = {
      source,
      entity,
      from,
      format,
      encoding: fields.get('encoding')?.oneOf(ENCODINGS) ?? 'utf-8',
      delimiter: this.#delimiter(fields.get('delimiter')),
      header: fields.get('header')?.strings() ?? null,
      nulls: fields.get('nulls')?.strings() ?? [],
      columnTypes: this.#columnTypes,
      cleaning,
      dedupe: parseDedupe(fields.get('dedupe')),
      group: groupNode === undefined ? null : (this.#group(groupNode) ?? null),
      key: this.#key(fields.get('key')),
      when: whenNode === undefined ? null : (this.#expression(whenNode, ['bool']) ?? null),
      time: this.#time(fields.get('time')),
      identifiers,
      type: type ?? { kind: 'constant', value: 'track' },
      name: eventName,
      groupId: this.#columnOf(event?.get('groupId')) ?? null,
      properties: this.#fieldValues(fields.get('properties')),
      traits: this.#fieldValues(fields.get('traits')),
      context: this.#fieldValues(fields.get('context')),
      consents: this.#rowValues(fields.get('consents')),
      errorLimit: this.#errorLimit(fields.get('errors')),
      expectations: [],
      text: content,
      hash: hash('sha256', `${String(SEMANTICS_VERSION)}\n${JSON.stringify(events)}`, 'hex'),
    };
    if (this.#isGrouped && mapping.key === null) root.problem('"key" is missing: the events of groups need one');
    if (from !== null && mapping.key === null) {
      const cursor = from.cursor === null ? '' : `-{${from.cursor}}`;
      root.problem(`"key" is missing: rows of a query need one that changes when they do, such as "{id}${cursor}"`);
    }
    const written = [...pathsOf('properties', mapping.properties), ...pathsOf('traits', mapping.traits)];
    return { ...mapping, expectations: parseLoadExpectations(fields.get('expect'), written) };
  }

  #format(node: MappingNode | undefined): FileFormat {
    return node?.oneOf(FILE_FORMATS) ?? 'csv';
  }

  #sourceKey(node: MappingNode | undefined): string {
    const key = node?.string();
    if (key !== undefined && !isKey(key)) {
      node?.problem('a source key has lower-case letters, digits and underscores, a letter first, 63 at most');
    }
    return key ?? '';
  }

  /** Records have one key, a time, a name and properties. */
  #entity(fields: ReadonlyMap<string, MappingNode>, keys: number): string | null {
    const node = fields.get('entity');
    if (node === undefined) return null;
    for (const field of ['traits', 'context', 'consents', 'group']) {
      fields.get(field)?.problem('is of events of people: records of an entity have properties');
    }
    if (keys > 1) fields.get('identifiers')?.problem('must name the join key of the entity alone');
    const entity = node.string();
    if (entity !== undefined && !isKey(entity)) node.problem('is no name of an entity');
    return entity ?? null;
  }

  #delimiter(node: MappingNode | undefined): string {
    const found = node?.string() ?? ',';
    if (found.length !== 1 || found === '"' || found === '\n' || found === '\r') {
      node?.problem('must be one character, and no quote or line break; a tab is "\\t"');
    }
    return found;
  }

  #group(node: MappingNode): Grouping | undefined {
    const fields = node.knownFields(['by', 'within', 'lines']);
    if (fields === undefined) return undefined;
    const by = fields.get('by')?.strings();
    if (by?.length === 0 || !fields.has('by')) node.problem('"by" must name at least one column');
    const linesNode = fields.get('lines');
    const lines = linesNode?.knownFields(['path', 'fields', 'most']);
    if (lines !== undefined && !(lines.has('path') && lines.has('fields'))) {
      linesNode?.problem('lines need a "path" and "fields"');
    }
    return {
      by: by ?? [],
      withinRows: fields.get('within')?.integer(1, MAPPING_LIMITS.maxWithinRows) ?? DEFAULT_WITHIN_ROWS,
      lines:
        lines === undefined
          ? null
          : {
              path: lines.get('path')?.string() ?? '',
              fields: this.#rowValues(lines.get('fields')),
              most: lines.get('most')?.integer(1, MAPPING_LIMITS.maxLines) ?? DEFAULT_LINES,
            },
    };
  }

  #key(node: MappingNode | undefined): KeyTemplate | null {
    const template = node?.string();
    if (node === undefined || template === undefined) return null;
    const parts: ({ text: string } | { column: string })[] = [];
    for (const [i, part] of template.split(/\{([^{}]+)\}/).entries()) {
      if (i % 2 === 1) parts.push({ column: part });
      else if (/[{}]/.test(part)) node.problem('a column is written {Column}; the braces do not match');
      else if (part !== '') parts.push({ text: part });
    }
    if (!parts.some((part) => 'column' in part)) node.problem('must name a column, as in "{InvoiceNo}"');
    return parts;
  }

  #time(node: MappingNode | undefined): Mapping['time'] {
    if (node === undefined) return null;
    if (node.isText) return { column: node.string() ?? '', format: 'iso', zone: 'UTC' };
    const fields = node.knownFields(['column', 'format', 'zone']);
    if (fields === undefined) return null;
    if (!fields.has('column')) node.problem('"column" is missing');
    const time = {
      column: fields.get('column')?.string() ?? '',
      format: fields.get('format')?.string() ?? 'iso',
      zone: fields.get('zone')?.string() ?? 'UTC',
    };
    try {
      compileTime({ ...time, zone: 'UTC' });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      fields.get('format')?.problem(error.message);
    }
    try {
      compileTime({ format: 'iso', zone: time.zone });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      fields.get('zone')?.problem('unknown zone; write an IANA name such as Europe/London, UTC, or +01:00');
    }
    return time;
  }

  #identifiers(node: MappingNode | undefined): Mapping['identifiers'] {
    const found: NamedValue<ColumnValue | RowIdValue>[] = [];
    for (const [name, child] of node?.fields() ?? []) {
      if (!isNamespace(name)) {
        child.problem('a namespace has lower-case letters, digits and underscores, a letter first, 32 at most');
      }
      const value = this.#identifier(child);
      if (value !== undefined) found.push({ name, value });
    }
    if (node?.isMap === true && found.length === 0) node.problem('must name at least one identifier');
    return found;
  }

  #identifier(node: MappingNode): ColumnValue | RowIdValue | undefined {
    const row = node.isMap ? node.fields()?.get('row') : undefined;
    if (row === undefined) return this.#columnOf(node);
    if (row.json() !== true) return row.problem('must be true: the row by its file and number');
    return node.fields()?.size === 1 ? { kind: 'row' } : node.problem('"row" stands alone');
  }

  #errorLimit(node: MappingNode | undefined): Mapping['errorLimit'] {
    if (node === undefined) return null;
    const value = node.json();
    const limit = typeof value === 'string' || typeof value === 'number' ? parseErrorLimit(String(value)) : undefined;
    return limit ?? node.problem('must be a count such as 500, or a share such as 30%') ?? null;
  }

  #choice<T extends string>(
    node: MappingNode,
    field: string,
    constant: (node: MappingNode) => T | undefined,
  ): Choice<T> | undefined {
    if (!node.isMap) {
      const value = constant(node);
      return value === undefined ? undefined : { kind: 'constant', value };
    }
    const fields = node.knownFields(['column', 'switch']);
    const column = fields?.get('column')?.string();
    if (column !== undefined) return { kind: 'column', column };
    const cases = fields?.get('switch')?.items();
    if (cases === undefined) return node.problem('must be a text, { column: … } or { switch: [ … ] }');
    return {
      kind: 'switch',
      cases: cases.flatMap((item) => {
        const parts = item.knownFields(['when', field]);
        const valueNode = parts?.get(field);
        if (valueNode === undefined) {
          item.problem(`a case needs "${field}"`);
          return [];
        }
        const value = constant(valueNode);
        const whenNode = parts?.get('when');
        const when = whenNode === undefined ? null : (this.#expression(whenNode, ['bool']) ?? null);
        return value === undefined ? [] : [{ when, value }];
      }),
    };
  }

  #fieldValues(node: MappingNode | undefined): NamedValue<FieldValue>[] {
    return [...(node?.fields() ?? [])].flatMap(([name, child]) => {
      const value = this.#fieldValue(child, this.#isGrouped);
      return value === undefined ? [] : [{ name, value }];
    });
  }

  #rowValues(node: MappingNode | undefined): NamedValue<RowValue>[] {
    return [...(node?.fields() ?? [])].flatMap(([name, child]) => {
      const value = this.#fieldValue(child, false);
      return value === undefined || value.kind === 'sum' || value.kind === 'count' ? [] : [{ name, value }];
    });
  }

  #fieldValue(node: MappingNode, mayAggregate: boolean): FieldValue | undefined {
    this.#values++;
    if (this.#values === MAPPING_LIMITS.maxValues + 1) {
      return node.problem(`a mapping has at most ${String(MAPPING_LIMITS.maxValues)} values`);
    }
    if (!node.isMap) return this.#columnOf(node);
    const fields = node.fields() ?? new Map<string, MappingNode>();
    const [kind] = ['const', 'cel', 'sum', 'count'].filter((name) => fields.has(name));
    const only = kind === undefined ? undefined : fields.get(kind);
    if (kind === undefined || only === undefined) return this.#columnOf(node);
    if (fields.size > 1) return node.problem(`"${kind}" stands alone`);
    if (kind === 'const') return { kind: 'constant', value: only.json() };
    if (kind === 'cel') {
      const expression = this.#expression(only, ANY_SCALAR);
      return expression === undefined ? undefined : { kind: 'computed', expression };
    }
    if (!mayAggregate) return only.problem(`"${kind}" is over the lines of a group: it needs "group"`);
    if (kind === 'sum') {
      const expression = this.#expression(only, NUMBER);
      return expression === undefined ? undefined : { kind: 'sum', expression };
    }
    if (only.json() === true) return { kind: 'count', condition: null };
    const condition = this.#expression(only, ['bool']);
    return condition === undefined ? undefined : { kind: 'count', condition };
  }

  #columnOf(node: MappingNode | undefined): ColumnValue | undefined {
    if (node === undefined) return undefined;
    const none = { kind: 'column', type: null, transforms: [], fallback: null } as const;
    if (!node.isMap) {
      const column = node.string();
      return column === undefined ? undefined : { ...none, column };
    }
    const fields = node.knownFields(['column', 'type', 'transforms', 'default']);
    const column = fields?.get('column')?.string();
    if (fields === undefined) return undefined;
    if (column === undefined) return fields.has('column') ? undefined : node.problem('"column" is missing');
    return {
      kind: 'column',
      column,
      type: fields.get('type')?.oneOf(COLUMN_TYPES) ?? null,
      transforms: (fields.get('transforms')?.items() ?? []).flatMap((item) => item.oneOf(TRANSFORMS) ?? []),
      fallback: fields.get('default')?.json() ?? null,
    };
  }

  #expression(node: MappingNode, allowed: readonly string[]): RowExpression | undefined {
    const source = node.string();
    if (source === undefined) return undefined;
    const found = this.#expressions.compile(source, allowed);
    if (!(found instanceof ExpressionProblem)) return found;
    return node.problemWithin(found.message, found.offset);
  }
}
