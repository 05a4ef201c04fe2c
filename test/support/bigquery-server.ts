import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { BigQueryField, WireCell } from '../../src/sources/warehouse/bigquery-cell.js';

export interface BigQueryRow {
  /** Of the cursor column, ms. */
  readonly at: number;
  readonly f: readonly WireCell[];
}

interface JobRequest {
  readonly jobReference: { readonly projectId: string; readonly jobId: string };
  readonly configuration: {
    readonly dryRun?: boolean;
    readonly jobTimeoutMs?: string;
    readonly query: {
      readonly query: string;
      readonly queryParameters?: readonly { readonly parameterValue: { readonly value: string } }[];
    };
  };
}

/**
 * Answers on the loopback as BigQuery's REST interface (v2: jobs.insert, jobs.getQueryResults, jobs.cancel) is documented
 * to. It knows one table, ordered by a cursor of timestamps, and takes of a query only its parameter.
 */
export class BigQueryServer {
  readonly queries: string[] = [];
  readonly cancelled: string[] = [];
  /** What requests were authorised with. */
  readonly authorizations = new Set<string>();
  fields: readonly BigQueryField[] = [];
  rows: BigQueryRow[] = [];
  statementType = 'SELECT';
  nowMs = 0;
  pageRows = 10_000;
  /** How often a job says that it still works. */
  pending = 0;
  /** Called each time that it does. */
  onPending: () => void = () => undefined;
  /** What jobs.insert answers instead, for plans and for queries. */
  refusals: { plan?: Refusal; query?: Refusal } = {};
  readonly #results = new Map<string, readonly BigQueryRow[]>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    this.authorizations.add(request.headers.authorization ?? '');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const [status, body] = this.#route(request.method ?? '', url, Buffer.concat(chunks).toString());
    response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' });
    response.end(JSON.stringify(body));
  }

  #route(method: string, url: URL, body: string): [number, unknown] {
    const cancel = /^\/bigquery\/v2\/projects\/acme\/jobs\/([^/]+)\/cancel$/.exec(url.pathname);
    if (method === 'POST' && cancel?.[1] !== undefined) {
      this.cancelled.push(cancel[1]);
      return [200, { kind: 'bigquery#jobCancelResponse' }];
    }
    if (method === 'POST' && url.pathname === '/bigquery/v2/projects/acme/jobs') {
      return this.#insert(JSON.parse(body) as JobRequest);
    }
    const results = /^\/bigquery\/v2\/projects\/acme\/queries\/([^/]+)$/.exec(url.pathname);
    if (method === 'GET' && results?.[1] !== undefined) return this.#resultsOf(results[1], url.searchParams);
    return [404, refused({ status: 404, reason: 'notFound', message: `no ${method} ${url.pathname}` })];
  }

  #insert({ jobReference, configuration }: JobRequest): [number, unknown] {
    const { query, dryRun } = configuration;
    const refusal = dryRun === true ? this.refusals.plan : this.refusals.query;
    if (refusal !== undefined) return [refusal.status, refused(refusal)];
    if (dryRun !== true) {
      this.queries.push(query.query);
      const after = query.queryParameters?.[0]?.parameterValue.value;
      const afterMs = after === undefined ? -Infinity : Date.parse(after);
      const found = this.rows.filter(({ at }) => at > afterMs).sort((a, b) => a.at - b.at);
      this.#results.set(jobReference.jobId, found);
    }
    const plan = { statementType: this.statementType, schema: { fields: this.fields } };
    return [
      200,
      {
        kind: 'bigquery#job',
        jobReference: { ...jobReference, location: 'EU' },
        configuration,
        status: { state: dryRun === true ? 'DONE' : 'RUNNING' },
        statistics: { creationTime: String(this.nowMs), query: plan },
      },
    ];
  }

  #resultsOf(jobId: string, params: URLSearchParams): [number, unknown] {
    const found = this.#results.get(jobId);
    if (found === undefined) return [404, refused({ status: 404, reason: 'notFound', message: 'no such job' })];
    const reference = { jobReference: { projectId: 'acme', jobId, location: 'EU' } };
    if (this.pending > 0) {
      this.pending--;
      this.onPending();
      return [200, { ...reference, jobComplete: false }];
    }
    if (params.get('formatOptions.useInt64Timestamp') !== 'true') return [400, {}];
    const from = Number(params.get('pageToken') ?? params.get('startIndex') ?? 0);
    const to = Math.min(from + Math.min(this.pageRows, Number(params.get('maxResults'))), found.length);
    const rows = found.slice(from, to).map(({ f }) => ({ f }));
    return [
      200,
      {
        ...reference,
        jobComplete: true,
        schema: { fields: this.fields },
        totalRows: String(found.length),
        ...(rows.length === 0 ? {} : { rows }),
        ...(to < found.length ? { pageToken: String(to) } : {}),
      },
    ];
  }
}

interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
}

/** The body of errors, as the REST interface documents it. */
function refused({ status, reason, message }: Refusal): unknown {
  return { error: { code: status, message, errors: [{ message, domain: 'global', reason }], status: 'INVALID' } };
}
