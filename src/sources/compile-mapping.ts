import { hash } from 'node:crypto';

import { CONSENT_FIELD, PURPOSES_FIELD } from '../events/consent-context.model.js';
import type { FormerPlace } from '../events/dead-letter.model.js';
import {
  EVENT_TYPES,
  type EventType,
  type IncomingEvent,
  type JsonObject,
  type JsonValue,
  type RawIdentifier,
} from '../events/event.model.js';
import { checkColumns, indexColumns } from './mapping-columns.js';
import {
  type Choice,
  type ColumnValue,
  type FieldValue,
  type Mapping,
  type NamedValue,
  type RowValue,
} from './mapping.model.js';
import { consentWords } from './mapping-consents.js';
import { ExpressionFault, type ExpressionContext, type RowExpression } from './mapping-expression.js';
import { compileTime, type TimeReader } from './mapping-time.js';
import { convert, transform, ValueFault, type ColumnType } from './mapping-value.js';
import { formerPlaceOf, formerRowIdReader } from './refused-rows.model.js';
import type { SourceRow } from './row.model.js';

const MAX_MESSAGE_ID_LENGTH = 200;
/** In the context of an event: columns whose values are not valid, where the mapping flags them. */
const INVALID_COLUMNS = 'invalid_columns';
const NONE: ReadonlySet<string> = new Set();

/** Why a row becomes no event. */
export class RowRefusal extends Error {
  constructor(
    readonly code: string,
    readonly reason: string,
  ) {
    super(reason);
  }
}

export interface MapperOptions {
  /** Names events that have no natural key, with their row number. */
  readonly fileHash: string;
  /** Added to every time, ms. */
  readonly timeShiftMs: number;
}

type CellReader = (row: SourceRow) => JsonValue | undefined;
type ValueReader = (row: SourceRow) => JsonValue | undefined;

/**
 * A mapping made ready for the rows of one file. Stateless as seen from outside: what a row becomes depends on the
 * row alone. Methods throw {@link RowRefusal} where a row cannot be mapped.
 */
export class RowMapper {
  readonly #mapping: Mapping;
  readonly #options: MapperOptions;
  readonly #columnIndex: ReadonlyMap<string, number> | null;
  readonly #formerRowId: ReturnType<typeof formerRowIdReader>;
  readonly #nulls: ReadonlySet<string> | null;
  readonly #context: ExpressionContext = Object.create(null) as ExpressionContext;
  readonly #fillForWhen: (row: SourceRow) => void;
  readonly #fill: (row: SourceRow) => void;
  readonly #readTime: TimeReader | null;
  readonly #timeCell: CellReader | null;
  #lastTimeText = '';
  #lastTimeMs = Number.NaN;
  readonly #groupCells: readonly (readonly [string, CellReader])[];
  readonly #keyParts: readonly (string | readonly [string, CellReader])[];
  readonly #identifiers: readonly (readonly [string, ValueReader])[];
  readonly #type: (row: SourceRow) => EventType;
  readonly #name: ((row: SourceRow) => string | undefined) | null;
  readonly #groupId: ValueReader | null;
  readonly #properties: readonly (readonly [string, ValueReader])[];
  readonly #traits: readonly (readonly [string, ValueReader])[];
  readonly #eventContext: readonly (readonly [string, ValueReader])[];
  readonly #consents: readonly (readonly [string, ValueReader])[];
  readonly #lineFields: readonly (readonly [string, ValueReader])[];

  /**
   * @param header the columns of a CSV or Parquet file; null for JSON lines.
   * @throws WeftError BAD_REQUEST naming every column that the header lacks.
   */
  constructor(mapping: Mapping, header: readonly string[] | null, options: MapperOptions) {
    this.#mapping = mapping;
    this.#options = options;
    if (header !== null && mapping.format !== 'csv') checkColumns(mapping, header);
    this.#columnIndex = header === null || mapping.format !== 'csv' ? null : indexColumns(mapping, header);
    this.#formerRowId = formerRowIdReader(this.#columnIndex);
    this.#nulls = mapping.nulls.length === 0 ? null : new Set(mapping.nulls);
    this.#context['row'] = this.#context;
    const whenColumns = new Set(mapping.when?.columns ?? []);
    this.#fillForWhen = this.#filler(whenColumns, NONE);
    this.#fill = this.#filler(expressionColumns(mapping), whenColumns);
    this.#readTime = mapping.time === null ? null : compileTime(mapping.time);
    this.#timeCell = mapping.time === null ? null : this.#cell(mapping.time.column);
    this.#groupCells = (mapping.group?.by ?? []).map((column) => [column, this.#cell(column)] as const);
    this.#keyParts = (mapping.key ?? []).map((part) =>
      'text' in part ? part.text : ([part.column, this.#cell(part.column)] as const),
    );
    this.#identifiers = this.#readers(mapping.identifiers);
    this.#type = this.#choice(mapping.type, 'type', toEventType) as (row: SourceRow) => EventType;
    this.#name = mapping.name === null ? null : this.#choice(mapping.name, 'name', (text) => text);
    this.#groupId = mapping.groupId === null ? null : this.#value(mapping.groupId);
    this.#properties = this.#readers(mapping.properties);
    this.#traits = this.#readers(mapping.traits);
    this.#eventContext = this.#readers(mapping.context);
    this.#consents = this.#readers(mapping.consents);
    this.#lineFields = this.#readers(mapping.group?.lines?.fields ?? []);
  }

  /** Whether `when` lets the row through. */
  isWanted(row: SourceRow): boolean {
    if (this.#mapping.when === null) return true;
    this.#fillForWhen(row);
    return this.evaluate(this.#mapping.when) === true;
  }

  /** Makes the row the one that expressions see. After `isWanted`. */
  enter(row: SourceRow): void {
    this.#fill(row);
  }

  /** On the row entered last. */
  evaluate(expression: RowExpression): unknown {
    try {
      return expression.evaluate(this.#context);
    } catch (error) {
      if (error instanceof ExpressionFault) throw refusal('BAD_EXPRESSION', `"${expression.source}": ${error.reason}`);
      throw error;
    }
  }

  /** The row's group, from the cells that `group.by` names. */
  groupKey(row: SourceRow): string {
    let key = '';
    for (const [column, read] of this.#groupCells) key += `${this.#keyCell(column, read, row)}\0`;
    return key;
  }

  /** The event of a row that was entered; sums, counts and lines of a group are not in it yet. */
  event(row: SourceRow): IncomingEvent {
    const type = this.#type(row);
    const name = this.#name?.(row);
    if (name === undefined && type === 'track') throw refusal('NAME_MISSING', 'the event has no name');
    const timestampMs = this.#timestamp(row);
    const groupId = this.#groupId?.(row);
    return {
      type,
      ...(name === undefined ? undefined : { name }),
      messageId: this.#messageId(row),
      identifiers: this.#identifiersOf(row),
      ...(timestampMs === undefined ? undefined : { timestampMs }),
      ...(groupId === undefined ? undefined : { groupId: textOf(groupId) }),
      properties: record(this.#properties, row),
      traits: record(this.#traits, row),
      ...this.#contextOf(row),
    };
  }

  #contextOf(row: SourceRow): { context: JsonObject } | undefined {
    if (this.#eventContext.length === 0 && this.#consents.length === 0 && row.flags === undefined) return undefined;
    const context = record(this.#eventContext, row);
    if (row.flags !== undefined) context[INVALID_COLUMNS] = [...row.flags];
    if (this.#consents.length === 0) return { context };
    const words = consentWords(record(this.#consents, row));
    if (words instanceof ValueFault) throw refusal('BAD_VALUE', words.reason);
    return { context: { ...context, [CONSENT_FIELD]: { [PURPOSES_FIELD]: words } } };
  }

  /** One line of a group. */
  line(row: SourceRow): JsonObject {
    return record(this.#lineFields, row);
  }

  /** The row as JSON text, for a dead letter. */
  describe(row: SourceRow): string {
    if (row.fault !== null) return row.fault.excerpt;
    // What is mended is what was handed in.
    const read = row.asRead ?? row;
    if (this.#columnIndex === null) return JSON.stringify(read.record);
    const cells: Record<string, string> = {};
    for (const [column, index] of this.#columnIndex) cells[column] = read.cells?.[index] ?? '';
    return JSON.stringify(cells);
  }

  #timestamp(row: SourceRow): number | undefined {
    if (this.#readTime === null || this.#timeCell === null) return undefined;
    const cell = this.#timeCell(row);
    if (cell === undefined) throw refusal('TIME_MISSING', `column "${this.#mapping.time?.column ?? ''}" is empty`);
    const text = textOf(cell);
    // Rows that follow each other often carry the same time.
    if (text !== this.#lastTimeText) {
      this.#lastTimeMs = this.#readTime(text);
      this.#lastTimeText = text;
    }
    if (Number.isNaN(this.#lastTimeMs)) {
      const { column, format } = this.#mapping.time ?? { column: '', format: '' };
      throw refusal('BAD_TIME', `column "${column}": ${JSON.stringify(text.slice(0, 40))} is not a time as ${format}`);
    }
    return this.#lastTimeMs + this.#options.timeShiftMs;
  }

  #messageId(row: SourceRow): string {
    if (this.#keyParts.length === 0) return this.#rowId(row);
    let key = '';
    for (const part of this.#keyParts) {
      key += typeof part === 'string' ? part : this.#keyCell(part[0], part[1], row);
    }
    return key.length <= MAX_MESSAGE_ID_LENGTH ? key : `sha256:${hash('sha256', key, 'hex')}`;
  }

  /** Of a row that becomes no event: the message id that it would have had; null where its cells do not say it. */
  messageIdOf(row: SourceRow): string | null {
    if (row.fault !== null && this.#keyParts.length > 0) return null;
    try {
      return this.#messageId(row);
    } catch (error) {
      if (error instanceof RowRefusal) return null;
      throw error;
    }
  }

  /** Where the row was refused, if it is of an export of refused rows. */
  formerPlace(row: SourceRow): FormerPlace | null {
    return formerPlaceOf(this.#formerRowId(row));
  }

  #rowId(row: SourceRow): string {
    return this.#formerRowId(row) ?? `${this.#options.fileHash.slice(0, 32)}:${String(row.number)}`;
  }

  #keyCell(column: string, read: CellReader, row: SourceRow): string {
    const cell = read(row);
    if (cell === undefined) throw refusal('KEY_MISSING', `column "${column}" is empty, and the key needs it`);
    return textOf(cell);
  }

  #identifiersOf(row: SourceRow): RawIdentifier[] {
    const found: RawIdentifier[] = [];
    for (const [ns, read] of this.#identifiers) {
      const value = read(row);
      if (value !== undefined && typeof value !== 'object') found.push({ ns, value: String(value) });
    }
    return found;
  }

  #cell(column: string): CellReader {
    const nulls = this.#nulls;
    if (this.#columnIndex !== null) {
      const index = this.#columnIndex.get(column) ?? -1;
      return (row) => {
        const cell = row.cells?.[index];
        return cell === undefined || cell === '' || nulls?.has(cell) === true ? undefined : cell;
      };
    }
    const path = column.split('.');
    return (row) => {
      const found = row.record === null ? undefined : fieldOf(row.record, column, path);
      if (found === null || found === '') return undefined;
      return typeof found === 'string' && nulls?.has(found) === true ? undefined : found;
    };
  }

  #readers(fields: readonly NamedValue<FieldValue>[]): (readonly [string, ValueReader])[] {
    return fields.flatMap(({ name, value }) =>
      value.kind === 'sum' || value.kind === 'count' ? [] : [[name, this.#value(value)] as const],
    );
  }

  #value(value: RowValue): ValueReader {
    if (value.kind === 'constant') return () => value.value;
    if (value.kind === 'row') return (row) => this.#rowId(row);
    if (value.kind === 'computed') return () => toJson(this.evaluate(value.expression));
    return this.#column(value, value.type ?? this.#mapping.columnTypes.get(value.column) ?? null);
  }

  #column(value: ColumnValue, type: ColumnType | null): ValueReader {
    const read = this.#cell(value.column);
    const fallback = value.fallback ?? undefined;
    const { transforms, column } = value;
    const nulls = this.#nulls;
    const asIs = type === null || (type === 'string' && this.#columnIndex !== null);
    return (row) => {
      let cell = read(row);
      if (cell === undefined) return fallback;
      if (transforms.length > 0 && typeof cell !== 'object') {
        cell = transform(String(cell), transforms);
        if (cell === '' || nulls?.has(cell) === true) return fallback;
      }
      return asIs ? cell : converted(cell, type, column);
    };
  }

  /** Sets the columns of expressions; an absent one is undefined, which expressions treat as an error. */
  #filler(columns: ReadonlySet<string>, except: ReadonlySet<string>): (row: SourceRow) => void {
    const isCsv = this.#columnIndex !== null;
    const cells = [...columns].flatMap((column) => {
      const type = this.#mapping.columnTypes.get(column) ?? (isCsv ? 'string' : null);
      return except.has(column) ? [] : [{ column, type, read: this.#cell(column) }];
    });
    const context = this.#context;
    return (row) => {
      for (const { column, type, read } of cells) {
        const cell = read(row);
        if (cell === undefined) context[column] = isCsv && type === 'string' ? '' : undefined;
        else context[column] = type === null || type === 'string' ? cell : converted(cell, type, column);
      }
    };
  }

  #choice<T extends string>(
    choice: Choice<T>,
    what: string,
    check: (text: string) => T | undefined,
  ): (row: SourceRow) => T | undefined {
    if (choice.kind === 'constant') return () => choice.value;
    if (choice.kind === 'switch') {
      return (row) => {
        for (const { when, value } of choice.cases) if (when === null || this.evaluate(when) === true) return value;
        throw refusal('NO_CASE', `no case of the ${what}'s switch holds for row ${String(row.number)}`);
      };
    }
    const read = this.#cell(choice.column);
    return (row) => {
      const cell = read(row);
      if (cell === undefined) return undefined;
      const found = check(textOf(cell));
      if (found === undefined) throw refusal('BAD_VALUE', `column "${choice.column}" is no ${what} of an event`);
      return found;
    };
  }
}

function refusal(code: string, reason: string): RowRefusal {
  return new RowRefusal(code, reason);
}

function converted(cell: JsonValue, type: ColumnType, column: string): JsonValue {
  const value = convert(cell, type);
  if (value instanceof ValueFault) throw refusal('BAD_VALUE', `column "${column}": ${value.reason}`);
  return value;
}

/** A value as text: lists and objects as JSON. */
function textOf(value: JsonValue): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function record(fields: readonly (readonly [string, ValueReader])[], row: SourceRow): JsonObject {
  const found: JsonObject = {};
  for (const [name, read] of fields) {
    const value = read(row);
    if (value !== undefined) found[name] = value;
  }
  return found;
}

/** Rounded to micro-units, as features count: 6 × 2.55 is 15.3. Numbers that micro-units cannot hold stay as they are. */
export function roundToMicro(value: number): number {
  const micro = value * 1_000_000;
  return Math.abs(micro) < Number.MAX_SAFE_INTEGER ? Math.round(micro) / 1_000_000 : value;
}

function toJson(value: unknown): JsonValue | undefined {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number') return Number.isFinite(value) ? roundToMicro(value) : undefined;
  return typeof value === 'string' || typeof value === 'boolean' || value === null ? value : undefined;
}

function toEventType(text: string): EventType | undefined {
  return EVENT_TYPES.find((type) => type === text);
}

/** The field of that name, else what the name leads to as a path with dots. */
function fieldOf(record: JsonObject, name: string, path: readonly string[]): JsonValue | undefined {
  if (path.length === 1 || Object.hasOwn(record, name)) return Object.hasOwn(record, name) ? record[name] : undefined;
  let at: JsonValue | undefined = record;
  for (const step of path) {
    if (at === null || typeof at !== 'object' || Array.isArray(at) || !Object.hasOwn(at, step)) return undefined;
    at = at[step];
  }
  return at;
}

function expressionColumns(mapping: Mapping): Set<string> {
  const columns = new Set<string>();
  const add = (expression: RowExpression | null): void => {
    for (const column of expression?.columns ?? []) columns.add(column);
  };
  const lineFields = mapping.group?.lines?.fields ?? [];
  for (const { value } of [
    ...mapping.properties,
    ...mapping.traits,
    ...mapping.context,
    ...mapping.consents,
    ...lineFields,
  ]) {
    if (value.kind === 'computed' || value.kind === 'sum') add(value.expression);
    if (value.kind === 'count') add(value.condition);
  }
  for (const choice of [mapping.type, mapping.name]) {
    if (choice?.kind === 'switch') for (const { when } of choice.cases) add(when);
  }
  return columns;
}
