import type { JsonObject } from '../../events/event.model.js';
import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import { earlierCursor, greaterCursor, notAhead } from './cursor-text.js';
import {
  cursorBind,
  cursorParameter,
  snowflakeCell,
  snowflakeCursor,
  snowflakeCursorKind,
  snowflakeField,
  snowflakeType,
  type SnowflakeField,
} from './snowflake-cell.js';
import type { SnowflakeStatement } from './snowflake-client.js';
import type { SnowflakeSession } from './snowflake-session.js';
import type {
  CursorKind,
  SnowflakeQuery,
  WarehouseColumn,
  WarehouseRow,
  WarehouseSource,
  WindowStart,
} from './warehouse.model.js';

const BATCH_ROWS = 1_000;
const NOW = 'SELECT DATE_PART(EPOCH_MILLISECOND, CURRENT_TIMESTAMP()) AS weft_now';

export interface SnowflakeDependencies {
  /** @throws WeftError NOT_CONFIGURED, CONFIG_INVALID or UNAVAILABLE */
  readonly openSession: (place: string) => Promise<SnowflakeSession>;
  readonly clock: Clock;
}

/** Rows that a query has ready, and up to where they were taken. */
interface Result {
  readonly queryId: string;
  /** The clock of Snowflake before the rows were read, ms. */
  readonly startedAtMs: number;
  /** Where the latest batch begins. */
  firstIndex: number;
  /** Cursors of the latest batch, after that of the row before it. */
  cursors: readonly (string | null)[];
}

/**
 * A query of Snowflake, through Snowflake's client. The query runs once: its result, which Snowflake keeps for 24 hours, is
 * read part by part, and windows that follow one another are read from the same result, so that a run sees one state of
 * the tables and wakes the warehouse once. What is asked is a query within `SELECT * FROM (…)`, in a session that takes
 * one statement at a time, and it is compiled before it is run; so there is no place for a statement that writes.
 */
export class SnowflakeWarehouse implements WarehouseSource {
  readonly place: string;
  readonly #query: SnowflakeQuery;
  readonly #deps: SnowflakeDependencies;
  #session: Promise<SnowflakeSession> | null = null;
  #fields: readonly SnowflakeField[] | null = null;
  #result: Result | null = null;

  constructor(query: SnowflakeQuery, deps: SnowflakeDependencies) {
    this.#query = query;
    this.#deps = deps;
    this.place = `Snowflake account ${query.account}`;
  }

  async columns(): Promise<readonly WarehouseColumn[]> {
    return (await this.#describe()).map((field) => ({
      name: field.name,
      type: snowflakeType(field),
      cursorKind: snowflakeCursorKind(field),
    }));
  }

  async settle(last: string, before: string | null): Promise<string> {
    const kind = cursorKind(this.#cursorField(await this.#describe()));
    if (kind === null || this.#result === null) return last;
    return notAhead(kind, before === null ? last : greaterCursor(kind, last, before), this.#result.startedAtMs);
  }

  /** Ends the session. The result stays for the next window, which opens another one. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    await (await session?.catch(() => undefined))?.close();
  }

  async *read(
    start: WindowStart,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly WarehouseRow[], void, undefined> {
    const fields = await this.#describe();
    signal?.throwIfAborted();
    const { statement, result, index } = (await this.#goOn(start)) ?? (await this.#run(start, signal));
    this.#result = result;
    const readers = fields.map((field) => [field.name, snowflakeCell(field)] as const);
    const cursorField = this.#cursorField(fields);
    const cursorIndex = cursorField === null ? -1 : fields.indexOf(cursorField);
    const readCursor = cursorField === null ? () => null : snowflakeCursor(cursorField);
    let nextIndex = index;
    let before = start.after;
    const session = await this.#open();
    for await (const batch of session.rows(statement, index, BATCH_ROWS)) {
      signal?.throwIfAborted();
      const rows = batch.map((cells): WarehouseRow => {
        const record: JsonObject = {};
        for (const [i, [name, read]] of readers.entries()) record[name] = read(cells[i]);
        return { record, cursor: readCursor(cells[cursorIndex]) };
      });
      result.firstIndex = nextIndex;
      result.cursors = [before, ...rows.map(({ cursor }) => cursor)];
      nextIndex += rows.length;
      before = rows.at(-1)?.cursor ?? before;
      yield rows;
    }
  }

  /** Where the result that was read last goes on after a place; null: it does not. */
  async #goOn({ after, overlap }: WindowStart): Promise<Opened | null> {
    const result = this.#result;
    if (result === null || after === null || overlap !== null) return null;
    const i = result.cursors.lastIndexOf(after);
    if (i < 0) return null;
    const session = await this.#open();
    return { statement: await session.result(result.queryId), result, index: result.firstIndex + i };
  }

  async #run(start: WindowStart, signal: AbortSignal | undefined): Promise<Opened> {
    const session = await this.#open();
    const startedAtMs = await this.#now(session);
    signal?.throwIfAborted();
    const statement = await session.run(this.#statement(start), signal);
    const result = { queryId: statement.getQueryId(), startedAtMs, firstIndex: 0, cursors: [] };
    return { statement, result, index: 0 };
  }

  async #now(session: SnowflakeSession): Promise<number> {
    // Only of times is it asked whether they are ahead.
    if (cursorKind(this.#cursorField(this.#fields ?? [])) !== 'time') return this.#deps.clock.now();
    for await (const [row] of session.rows(await session.run({ sqlText: NOW }), 0, 1)) return Number(row?.[0]);
    return this.#deps.clock.now();
  }

  #statement({ after, overlap }: WindowStart): { sqlText: string; binds?: readonly string[] } {
    const select = selectAll(this.#query.query);
    const field = this.#cursorField(this.#fields ?? []);
    const kind = cursorKind(field);
    if (field === null || kind === null) return { sqlText: select };
    const column = `weft_query.${quoted(field.name)}`;
    const order = `ORDER BY ${column}`;
    if (after === null) return { sqlText: `${select} WHERE ${column} IS NOT NULL ${order}` };
    const place = overlap === null ? after : earlierCursor(kind, after, overlap);
    return { sqlText: `${select} WHERE ${column} > ${cursorParameter(field)} ${order}`, binds: [cursorBind(place)] };
  }

  #cursorField(fields: readonly SnowflakeField[]): SnowflakeField | null {
    return fields.find(({ name }) => name === this.#query.cursor) ?? null;
  }

  async #describe(): Promise<readonly SnowflakeField[]> {
    if (this.#fields !== null) return this.#fields;
    const session = await this.#open();
    const statement = await session.run({ sqlText: selectAll(this.#query.query), describeOnly: true });
    const fields = (statement.getColumns() ?? []).map(snowflakeField);
    const structured = fields.find(({ isStructured }) => isStructured);
    if (structured !== undefined) {
      throw new WeftError('BAD_REQUEST', `the column ${structured.name} has parts with types of their own`, {
        where: `from, ${this.place}`,
        hint: `cast it in the query, to OBJECT or ARRAY without types: ${quoted(structured.name)}::OBJECT`,
      });
    }
    this.#fields = fields;
    return fields;
  }

  #open(): Promise<SnowflakeSession> {
    this.#session ??= this.#deps.openSession(this.place);
    return this.#session;
  }
}

interface Opened {
  readonly statement: SnowflakeStatement;
  readonly result: Result;
  readonly index: number;
}

function cursorKind(field: SnowflakeField | null): CursorKind | null {
  return field === null ? null : snowflakeCursorKind(field);
}

/** On lines of its own, since the query may end with a comment. */
function selectAll(query: string): string {
  return `SELECT * FROM (${query}\n) AS weft_query`;
}

function quoted(name: string): string {
  return `"${name.replace(/"/g, '""')}"`;
}
