import { generateKeyPairSync, verify, type KeyObject } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { BigQuery } from '@google-cloud/bigquery';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { ManualClock } from '../../src/platform/clock.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import type { OpenStore } from '../../src/sources/warehouse/store-client.js';
import type {
  WarehouseLoadRequest,
  WarehouseLoadResult,
  WarehouseLoadService,
} from '../../src/sources/warehouse/warehouse-load.service.js';
import { BigQueryServer } from '../support/bigquery-server.js';
import { createLoadWorld, type LoadWorld } from '../support/load-world.js';

const START = Date.UTC(2025, 5, 1);
const SECRET = 'hidden-key-of-a-service-account';

let world: LoadWorld;
let server: BigQueryServer;
let apiEndpoint: string;
let folder: string;
let publicKey: KeyObject;
let sourceNumber = 0;

beforeAll(async () => {
  [world, folder] = await Promise.all([createLoadWorld(), mkdtemp(join(tmpdir(), 'weft-bigquery-'))]);
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  publicKey = pair.publicKey;
  const key = {
    type: 'service_account',
    client_email: 'weft@acme.iam.example',
    private_key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
    // Tokens of other universes than Google's public one are signed by the client, without a server of tokens.
    universe_domain: 'example.com',
  };
  await writeFile(join(folder, 'key.json'), JSON.stringify(key));
});
afterAll(async () => {
  await Promise.all([world.close(), rm(folder, { recursive: true })]);
});

beforeEach(async () => {
  sourceNumber++;
  server = new BigQueryServer();
  server.fields = [
    { name: 'id', type: 'INTEGER', mode: 'REQUIRED' },
    { name: 'plan', type: 'STRING' },
    { name: 'tags', type: 'STRING', mode: 'REPEATED' },
    { name: 'updated_at', type: 'TIMESTAMP' },
  ];
  server.nowMs = Date.UTC(2026, 0, 1);
  apiEndpoint = await server.start();
  return () => server.stop();
});

/** People from and to these numbers, a second between the changes of one and the next. */
function change(from: number, to: number, startMs = START): void {
  for (let id = from; id <= to; id++) {
    const at = startMs + id * 1_000;
    const f = [{ v: String(id) }, { v: 'free' }, { v: [{ v: 'a' }, { v: 'b' }] }, { v: `${String(at)}123` }];
    server.rows.push({ at, f });
  }
}

function service(more: Partial<OpenStore> = {}): WarehouseLoadService {
  return world.warehouseLoads({ readVariable: () => join(folder, 'key.json'), apiEndpoint, ...more });
}

function mappingOf(more = ''): ReturnType<typeof parseMapping> {
  return parseMapping(`
source: bq${String(sourceNumber)}
from:
  bigquery: { project: acme, credentials_env: BIGQUERY_KEY_FILE, query: "SELECT * FROM crm.people;" }
  cursor: updated_at
  ${more}
key: "{id}-{updated_at}"
time: updated_at
identifiers: { crm_id: id }
event: { type: identify }
traits: { plan: plan, tags: tags }
`);
}

function load(
  more?: string,
  open?: Partial<OpenStore>,
  request?: Partial<WarehouseLoadRequest>,
): Promise<WarehouseLoadResult> {
  return service(open).load({ mapping: mappingOf(more), ...request });
}

describe('a load of the rows of a BigQuery query', () => {
  it('brings in all rows at first by one query, and then what is new or changed', async () => {
    change(1, 25);
    server.pageRows = 7;
    server.pending = 2;
    const first = await load('window: 10');
    expect(first).toMatchObject({ outcome: 'loaded', loads: 3, rows: 25, accepted: 25, refused: 0 });
    expect(first.position).toBe('2025-06-01T00:00:25.000123Z');
    expect(server.queries).toEqual([
      'SELECT * FROM (SELECT * FROM crm.people\n) AS weft_query' +
        ' WHERE weft_query.`updated_at` IS NOT NULL ORDER BY weft_query.`updated_at`',
    ]);

    change(7, 7, START + 3_600_000);
    change(26, 27);
    const second = await load('window: 10');
    expect(second).toMatchObject({ accepted: 3, position: '2025-06-01T01:00:07.000123Z' });
    expect(server.queries[1]).toContain('WHERE weft_query.`updated_at` > @weft_after ORDER BY');
  });

  it('is authorised by the key of the file', async () => {
    await load();
    const [header = '', claims = '', signature = ''] = [...server.authorizations]
      .join()
      .replace('Bearer ', '')
      .split('.');
    expect(verify('sha256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url'))).toBe(
      true,
    );
  });

  it('reads rows of one cursor value in one window, wherever pages end', async () => {
    for (let i = 0; i < 12; i++) change(1, 1);
    server.rows = server.rows.map((row, i) => ({ ...row, f: [{ v: String(i + 1) }, ...row.f.slice(1)] }));
    change(20, 24);
    for (const pageRows of [1, 3, 12]) {
      server.pageRows = pageRows;
      expect(await load('window: 1', {}, { full: true })).toMatchObject({ loads: 6, rows: 17, refused: 0 });
    }
  });

  it('is not blinded by a row that is dated ahead', async () => {
    change(1, 2);
    change(3, 3, Date.UTC(2030, 0, 1));
    expect((await load()).position).toBe('2026-01-01T00:00:00.000000Z');
  });

  it('ends the query where it is stopped while BigQuery works', async () => {
    change(1, 2);
    server.pending = 1_000_000;
    const abort = new AbortController();
    server.onPending = () => {
      abort.abort();
    };
    expect((await load('', {}, { signal: abort.signal })).outcome).toBe('interrupted');
    await expect.poll(() => server.cancelled.length).toBe(1);
  });

  it('ends a query that takes longer than its time-out', async () => {
    const clock = new ManualClock(0);
    server.pending = 1_000_000;
    server.onPending = () => {
      clock.advance(400_000);
    };
    await expect(load('', { clock })).rejects.toMatchObject({ code: 'UNAVAILABLE', hint: /timeout/ });
    await expect.poll(() => server.cancelled.length).toBe(1);
  });
});

describe('what a load of BigQuery refuses', () => {
  it('a query that does more than select, before it runs', async () => {
    server.statementType = 'SCRIPT';
    await expect(load()).rejects.toMatchObject({ code: 'BAD_REQUEST', message: /does more than to select/ });
    expect(server.queries).toEqual([]);
  });

  it('a query that is wrong, by its message; a failure over rows, without values of them', async () => {
    const wrong = { status: 400, reason: 'invalidQuery', message: 'Unrecognized name: emali at [1:8]' };
    server.refusals = { plan: wrong };
    await expect(load()).rejects.toMatchObject({ code: 'BAD_REQUEST', message: /emali at \[1:8\]/ });
    server.refusals = { query: { ...wrong, message: 'Bad int64 value: somebody@example.com' } };
    await expect(load()).rejects.toMatchObject({ message: 'BigQuery refuses the query' });
  });

  it.each([
    [403, 'accessDenied', 'BAD_REQUEST', /denies access/],
    [401, 'authError', 'CONFIG_INVALID', /refuses the credentials/],
    [403, 'quotaExceeded', 'UNAVAILABLE', /cannot answer now \(quotaExceeded\)/],
  ])('an answer %i %s as %s', async (status, reason, code, message) => {
    server.refusals = { plan: { status, reason, message: 'no' } };
    await expect(load()).rejects.toMatchObject({ code, message });
  });

  it('credentials that are not there, and says nothing of what the file holds', async () => {
    await expect(load('', { readVariable: () => undefined })).rejects.toMatchObject({
      code: 'NOT_CONFIGURED',
      where: 'BIGQUERY_KEY_FILE',
    });
    await writeFile(join(folder, 'broken.json'), `{"private_key": ${SECRET}`);
    const broken = load('', { readVariable: () => join(folder, 'broken.json') });
    await expect(broken).rejects.toMatchObject({ code: 'CONFIG_INVALID', where: 'BIGQUERY_KEY_FILE' });
    await expect(broken).rejects.not.toThrow(SECRET);
  });

  it('to run without the client, and says how to install it', async () => {
    const importPackage = (name: string): Promise<unknown> =>
      Promise.reject(Object.assign(new Error(`Cannot find package '${name}'`), { code: 'ERR_MODULE_NOT_FOUND' }));
    await expect(load('', { importPackage })).rejects.toMatchObject({
      code: 'NOT_CONFIGURED',
      hint: /npm install .*@google-cloud\/bigquery@8/,
    });
    expect(BigQuery).toBeTypeOf('function');
  });

  it('a mapping that is wrong, with all that is', () => {
    const from = (text: string) => (): unknown =>
      parseMapping(`source: a\nkey: a\nidentifiers: { crm_id: id }\nevent: { type: identify }\nfrom: ${text}`);
    expect(from(`{ bigquery: { project: "Acme Inc", credentials_env: "{ ${SECRET} }", query: SELECT 1 } }`)).toThrow(
      /id of a project[^]*name of an environment variable(?![^]*hidden-key)/,
    );
    expect(from('{ postgres: { url_env: A, query: SELECT 1 }, bigquery: { query: SELECT 1 } }')).toThrow(/one store/);
    expect(from('{ cursor: id }')).toThrow(/"postgres", "bigquery" or "snowflake"/);
  });
});
