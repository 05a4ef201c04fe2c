import type { BigQuery, Job, Query } from '@google-cloud/bigquery';

import type { JsonObject } from '../../events/event.model.js';
import type { Clock } from '../../platform/clock.js';
import { WeftError } from '../../platform/errors.js';
import {
  bigQueryCell,
  bigQueryCursor,
  bigQueryCursorKind,
  sqlType,
  type BigQueryField,
  type WireCell,
} from './bigquery-cell.js';
import { bigQueryError, tookTooLong } from './bigquery-errors.js';
import { earlierCursor, greaterCursor, notAhead } from './cursor-text.js';
import type {
  BigQueryQuery,
  CursorKind,
  WarehouseColumn,
  WarehouseRow,
  WarehouseSource,
  WindowStart,
} from './warehouse.model.js';

const PAGE_ROWS = 10_000;
/** Cells as they are on the wire, since those of the client have lost digits. */
const ONE_PAGE = { autoPaginate: false, skipParsing: true } as const;
/** Beyond the time-out of the job, for its end to be told. */
const SILENCE_TIMEOUT_MS = 5_000;

export interface BigQueryDependencies {
  readonly openClient: () => Promise<BigQuery>;
  readonly clock: Clock;
}

interface Described {
  readonly columns: readonly WarehouseColumn[];
  readonly fields: readonly BigQueryField[];
  /** Of the cursor column; null without one. */
  readonly cursorField: BigQueryField | null;
}

/** Rows that a job has ready, and up to where they were taken. */
interface Result {
  readonly job: Job;
  /** The clock of BigQuery before the rows were read, ms. */
  readonly startedAtMs: number;
  /** Where the latest page begins. */
  firstIndex: number;
  /** Cursors of the latest page, after that of the row before it. */
  cursors: readonly (string | null)[];
}

interface Page {
  readonly rows: readonly { readonly f: readonly WireCell[] }[];
  readonly pageToken: string | undefined;
}

/**
 * A query of Google BigQuery by its REST interface (v2), through Google's client. The query is one job: its result, which
 * BigQuery keeps for a day, is read page by page, and windows that follow one another are read from the same result, so
 * that a run pays for one query. A query is planned first, and runs only if it is a `SELECT`.
 */
export class BigQueryWarehouse implements WarehouseSource {
  readonly place: string;
  readonly #query: BigQueryQuery;
  readonly #deps: BigQueryDependencies;
  #client: Promise<BigQuery> | null = null;
  #described: Described | null = null;
  #result: Result | null = null;

  constructor(query: BigQueryQuery, deps: BigQueryDependencies) {
    this.#query = query;
    this.#deps = deps;
    this.place = `BigQuery project ${query.project}`;
  }

  async columns(): Promise<readonly WarehouseColumn[]> {
    return (await this.#describe()).columns;
  }

  settle(last: string, before: string | null): Promise<string> {
    const kind = this.#cursorKind();
    if (kind === null || this.#result === null) return Promise.resolve(last);
    const greatest = before === null ? last : greaterCursor(kind, last, before);
    return Promise.resolve(notAhead(kind, greatest, this.#result.startedAtMs));
  }

  /** The result stays for the next window: there is no connection that it would hold. */
  close(): Promise<void> {
    this.#client = null;
    return Promise.resolve();
  }

  async *read(
    start: WindowStart,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly WarehouseRow[], void, undefined> {
    const { fields, cursorField } = await this.#describe();
    signal?.throwIfAborted();
    const { result, index } = this.#goOn(start) ?? { result: await this.#run(start, signal), index: 0 };
    this.#result = result;
    const readers = fields.map((field) => [field.name, bigQueryCell(field)] as const);
    const cursorIndex = cursorField === null ? -1 : fields.indexOf(cursorField);
    const readCursor = cursorField === null ? () => null : bigQueryCursor(cursorField.type);
    let nextIndex = index;
    let before = start.after;
    let page: Page | null = null;
    do {
      page = await this.#page(result.job, nextIndex, page?.pageToken);
      signal?.throwIfAborted();
      const rows = page.rows.map(({ f }): WarehouseRow => {
        const record: JsonObject = {};
        for (const [i, [name, read]] of readers.entries()) record[name] = read(f[i]?.v ?? null);
        return { record, cursor: readCursor(f[cursorIndex]?.v ?? null) };
      });
      result.firstIndex = nextIndex;
      result.cursors = [before, ...rows.map(({ cursor }) => cursor)];
      nextIndex += rows.length;
      before = rows.at(-1)?.cursor ?? before;
      if (rows.length > 0) yield rows;
    } while (page.pageToken !== undefined);
  }

  /** Where the result that was read last goes on after a place; null: it does not. */
  #goOn({ after, overlap }: WindowStart): { result: Result; index: number } | null {
    const result = this.#result;
    if (result === null || after === null || overlap !== null) return null;
    const i = result.cursors.lastIndexOf(after);
    return i < 0 ? null : { result, index: result.firstIndex + i };
  }

  async #run(start: WindowStart, signal: AbortSignal | undefined): Promise<Result> {
    const { clock } = this.#deps;
    const { timeoutMs } = this.#query;
    const deadline = clock.now() + timeoutMs + SILENCE_TIMEOUT_MS;
    const job = await this.#start({ ...this.#statement(start), jobTimeoutMs: timeoutMs });
    // What BigQuery still works on is not waited for. Where it cannot be cancelled, its time-out ends it.
    const stop = (): void => void job.cancel().catch(() => undefined);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      while (!(await this.#isDone(job))) {
        signal?.throwIfAborted();
        if (clock.now() < deadline) continue;
        stop();
        throw tookTooLong(this.place);
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
    const { creationTime } = statisticsOf(job);
    return { job, startedAtMs: Number(creationTime ?? clock.now()), firstIndex: 0, cursors: [] };
  }

  #statement({ after, overlap }: WindowStart): Query {
    const { query, cursor } = this.#query;
    const select = `SELECT * FROM (${query}\n) AS weft_query`;
    const field = this.#described?.cursorField ?? null;
    const kind = this.#cursorKind();
    if (cursor === null || field === null || kind === null) return { query: select };
    const column = `weft_query.${quoted(cursor)}`;
    const order = `ORDER BY ${column}`;
    if (after === null) return { query: `${select} WHERE ${column} IS NOT NULL ${order}` };
    const value = overlap === null ? after : earlierCursor(kind, after, overlap);
    return {
      query: `${select} WHERE ${column} > @weft_after ${order}`,
      parameterMode: 'NAMED',
      queryParameters: [
        { name: 'weft_after', parameterType: { type: sqlType(field.type) }, parameterValue: { value } },
      ],
    };
  }

  #cursorKind(): CursorKind | null {
    const field = this.#described?.cursorField ?? null;
    return field === null ? null : bigQueryCursorKind(field);
  }

  async #describe(): Promise<Described> {
    if (this.#described !== null) return this.#described;
    const { query, cursor } = this.#query;
    const job = await this.#start({ query: `SELECT * FROM (${query}\n) AS weft_query`, dryRun: true }, true);
    const { query: plan } = statisticsOf(job);
    if (plan?.statementType !== 'SELECT') {
      throw new WeftError('BAD_REQUEST', 'the query does more than to select, and a load only reads', {
        where: `from, ${this.place}`,
        hint: 'leave out what changes tables, and all but one statement',
      });
    }
    const fields = plan.schema?.fields ?? [];
    const columns = fields.map((field): WarehouseColumn => ({
      name: field.name,
      type: field.mode === 'REPEATED' ? `ARRAY<${field.type}>` : field.type,
      cursorKind: bigQueryCursorKind(field),
    }));
    this.#described = { columns, fields, cursorField: fields.find(({ name }) => name === cursor) ?? null };
    return this.#described;
  }

  async #start(query: Query, isPlanning = false): Promise<Job> {
    return this.#send(isPlanning, async (client) => {
      const [job] = await client.createQueryJob(query);
      return job;
    });
  }

  /** Waits as long as BigQuery lets a request wait, ten seconds or so. */
  #isDone(job: Job): Promise<boolean> {
    return this.#send(false, async () => {
      const [, , answer] = await job.getQueryResults({ ...ONE_PAGE, maxResults: 0 });
      return answer?.jobComplete === true;
    });
  }

  #page(job: Job, index: number, pageToken: string | undefined): Promise<Page> {
    return this.#send(false, async () => {
      const place = pageToken === undefined ? { startIndex: String(index) } : { pageToken };
      const [rows, , answer] = await job.getQueryResults({ ...ONE_PAGE, maxResults: PAGE_ROWS, ...place });
      return { rows: rows as Page['rows'], pageToken: answer?.pageToken };
    });
  }

  async #send<T>(isPlanning: boolean, ask: (client: BigQuery) => Promise<T>): Promise<T> {
    this.#client ??= this.#deps.openClient();
    const client = await this.#client;
    try {
      return await ask(client);
    } catch (error) {
      throw bigQueryError(error, this.place, isPlanning);
    }
  }
}

/** What is read of the statistics of a job, as its REST resource has them. */
interface JobStatistics {
  /** Ms. */
  readonly creationTime?: string;
  readonly query?: {
    readonly statementType?: string;
    readonly schema?: { readonly fields?: readonly BigQueryField[] };
  };
}

function statisticsOf(job: Job): JobStatistics {
  return (job.metadata as { readonly statistics?: JobStatistics } | undefined)?.statistics ?? {};
}

function quoted(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``;
}
