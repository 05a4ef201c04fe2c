import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

/** A column, as `rowtype` of an answer has it. */
export interface SnowflakeWireColumn {
  readonly name: string;
  readonly type: string;
  readonly scale?: number;
  readonly nullable?: boolean;
  readonly fields?: readonly unknown[];
}

export interface SnowflakeRow {
  /** Of the cursor column, ms. */
  readonly at: number;
  readonly cells: readonly (string | null)[];
}

interface Login {
  readonly data: Readonly<Record<string, unknown>>;
  readonly query: URLSearchParams;
}

interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly sqlState?: string;
}

interface StatementRequest {
  readonly sqlText: string;
  readonly describeOnly?: boolean;
  readonly bindings?: Readonly<Record<string, { readonly value: string }>>;
}

const CHUNK_KEY = 'key-of-the-parts';

/**
 * Answers on the loopback as Snowflake's servers answer its clients (login-request, query-request, result, abort-request,
 * and parts of results, compressed). It knows one table, ordered by a cursor of times, and takes of a query only what is
 * bound to it.
 */
export class SnowflakeServer {
  readonly logins: Login[] = [];
  /** Statements that were run, and those that were only compiled. */
  readonly queries: string[] = [];
  readonly described: string[] = [];
  readonly binds: string[] = [];
  readonly cancelled: string[] = [];
  sessionsEnded = 0;
  columns: readonly SnowflakeWireColumn[] = [];
  rows: SnowflakeRow[] = [];
  nowMs = 0;
  /** Rows that an answer has itself, and rows of each further part. */
  inlineRows = 10_000;
  partRows = 10_000;
  /** How often a query says that it is still running. */
  pending = 0;
  /** Called each time that it does. */
  onPending: () => void = () => undefined;
  refusals: { login?: Refusal; plan?: Refusal; query?: Refusal } = {};
  readonly #results = new Map<string, readonly SnowflakeRow[]>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));
  #url = '';
  #token = 0;

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.#url = `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
    return this.#url;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.#url);
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const part = /^\/parts\/([^/]+)\/(\d+)$/.exec(url.pathname);
    if (part?.[1] !== undefined) {
      const isKnown = request.headers['x-part-key'] === CHUNK_KEY;
      const rows = this.#part(part[1], Number(part[2]));
      response.writeHead(isKnown ? 200 : 400, {
        'content-type': 'application/octet-stream',
        'content-encoding': 'gzip',
      });
      // Lists of cells with commas between them, and no brackets around.
      response.end(gzipSync(isKnown ? rows.map(({ cells }) => JSON.stringify(cells)).join(',') : ''));
      return;
    }
    const isLogin = url.pathname === '/session/v1/login-request';
    const isKnown = request.headers.authorization === `Snowflake Token="token-${String(this.#token)}"`;
    const [status, body] =
      isLogin || isKnown ? this.#route(request.method ?? '', url, Buffer.concat(parts).toString()) : [401, '{}'];
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  }

  #route(method: string, url: URL, text: string): [number, unknown] {
    const abort = /^\/queries\/(?:v1|([^/]+))\/abort-request$/.exec(url.pathname);
    const result = /^\/queries\/([^/]+)\/result$/.exec(url.pathname);
    if (method === 'POST' && url.pathname === '/session/v1/login-request') return [200, this.#login(url, text)];
    if (method === 'POST' && url.pathname === '/queries/v1/query-request') {
      return [200, this.#query(JSON.parse(text) as StatementRequest)];
    }
    if (method === 'GET' && result?.[1] !== undefined) return [200, this.#resultOf(result[1])];
    if (method === 'POST' && abort !== null) {
      this.cancelled.push(abort[1] ?? text);
      this.pending = 0;
      this.refusals.query = { code: '000604', message: 'SQL execution canceled', sqlState: '57014' };
      return [200, { success: true, data: null }];
    }
    if (method === 'POST' && url.pathname === '/session') {
      this.sessionsEnded++;
      return [200, { success: true, data: null }];
    }
    if (method === 'POST' && url.pathname === '/telemetry/send') return [200, { success: true, data: null }];
    return [404, {}];
  }

  #login(url: URL, text: string): unknown {
    this.logins.push({ data: (JSON.parse(text) as { data: Login['data'] }).data, query: url.searchParams });
    if (this.refusals.login !== undefined) return refused(this.refusals.login);
    this.#token++;
    const token = `token-${String(this.#token)}`;
    return {
      success: true,
      code: null,
      data: {
        token,
        masterToken: 'master',
        validityInSeconds: 3600,
        masterValidityInSeconds: 14_400,
        sessionId: 1,
        parameters: [],
      },
    };
  }

  #query({ sqlText, describeOnly, bindings }: StatementRequest): unknown {
    if (sqlText.startsWith('ALTER SESSION')) return this.#table([{ name: 'status', type: 'text' }], [['done']]);
    if (describeOnly === true) {
      this.described.push(sqlText);
      return this.refusals.plan === undefined ? this.#table(this.columns, []) : refused(this.refusals.plan);
    }
    if (sqlText.includes('CURRENT_TIMESTAMP()')) {
      return this.#table([{ name: 'WEFT_NOW', type: 'fixed', scale: 0 }], [[String(this.nowMs)]]);
    }
    this.queries.push(sqlText);
    const after = bindings?.['1']?.value;
    if (after !== undefined) this.binds.push(after);
    const afterMs = after === undefined ? -Infinity : Date.parse(after);
    const queryId = `01b2-${String(this.#results.size)}`;
    this.#results.set(
      queryId,
      this.rows.filter(({ at }) => at > afterMs).sort((a, b) => a.at - b.at),
    );
    return this.#resultOf(queryId);
  }

  #resultOf(queryId: string): unknown {
    if (this.pending > 0) {
      this.pending--;
      this.onPending();
      return { success: true, code: '333333', data: { queryId, getResultUrl: `/queries/${queryId}/result` } };
    }
    if (this.refusals.query !== undefined) return refused(this.refusals.query);
    const rows = this.#results.get(queryId);
    if (rows === undefined) return refused({ code: '000709', message: 'no such statement', sqlState: '02000' });
    const chunks: { url: string; rowCount: number; compressedSize: number; uncompressedSize: number }[] = [];
    for (let from = this.inlineRows; from < rows.length; from += this.partRows) {
      const rowCount = Math.min(this.partRows, rows.length - from);
      const url = `${this.#url}/parts/${queryId}/${String(chunks.length)}`;
      chunks.push({ url, rowCount, compressedSize: 1, uncompressedSize: 1 });
    }
    const inline = rows.slice(0, this.inlineRows).map(({ cells }) => cells);
    return this.#table(this.columns, inline, { queryId, total: rows.length, returned: rows.length, chunks });
  }

  #part(queryId: string, index: number): readonly SnowflakeRow[] {
    const from = this.inlineRows + index * this.partRows;
    return this.#results.get(queryId)?.slice(from, from + this.partRows) ?? [];
  }

  #table(columns: readonly SnowflakeWireColumn[], rowset: readonly (readonly (string | null)[])[], more = {}): unknown {
    return {
      success: true,
      code: null,
      data: {
        queryId: 'of-the-session',
        rowtype: columns,
        rowset,
        total: rowset.length,
        returned: rowset.length,
        version: 1,
        statementTypeId: 4096,
        chunkHeaders: { 'x-part-key': CHUNK_KEY },
        parameters: [
          { name: 'TIMEZONE', value: 'America/Los_Angeles' },
          { name: 'TIME_OUTPUT_FORMAT', value: 'HH24:MI:SS.FF9' },
          { name: 'DATE_OUTPUT_FORMAT', value: 'YYYY-MM-DD' },
          { name: 'BINARY_OUTPUT_FORMAT', value: 'HEX' },
        ],
        ...more,
      },
    };
  }
}

/** The body of failures. */
function refused({ code, message, sqlState = '' }: Refusal): unknown {
  return { success: false, code, message, data: { errorCode: code, sqlState } };
}
