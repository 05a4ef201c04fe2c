import { createHash, generateKeyPairSync, verify, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import type { JsonObject } from '../../src/events/event.model.js';
import { parseMapping } from '../../src/sources/parse-mapping.js';
import { openWarehouse } from '../../src/sources/warehouse/open-warehouse.js';
import type { OpenStore } from '../../src/sources/warehouse/store-client.js';
import type {
  WarehouseLoadRequest,
  WarehouseLoadResult,
  WarehouseLoadService,
} from '../../src/sources/warehouse/warehouse-load.service.js';
import type { WarehouseQuery } from '../../src/sources/warehouse/warehouse.model.js';
import { createLoadWorld, type LoadWorld } from '../support/load-world.js';
import { SnowflakeServer } from '../support/snowflake-server.js';

const START = Date.UTC(2025, 5, 1);
const SECRET = 'hidden-secret-of-a-user';

let world: LoadWorld;
let server: SnowflakeServer;
let apiEndpoint: string;
let folder: string;
let publicKey: KeyObject;
let sourceNumber = 0;
const variables: Record<string, string> = {};

beforeAll(async () => {
  // Else the client asks the clouds where it runs, when it is imported.
  vi.stubEnv('SNOWFLAKE_DISABLE_PLATFORM_DETECTION', 'true');
  [world, folder] = await Promise.all([createLoadWorld(), mkdtemp(join(tmpdir(), 'weft-snowflake-'))]);
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  publicKey = pair.publicKey;
  const pem = { type: 'pkcs8', format: 'pem' } as const;
  await writeFile(join(folder, 'key.p8'), pair.privateKey.export(pem));
  await writeFile(
    join(folder, 'sealed.p8'),
    pair.privateKey.export({ ...pem, cipher: 'aes-256-cbc', passphrase: SECRET }),
  );
  variables['SNOWFLAKE_KEY_FILE'] = join(folder, 'key.p8');
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await Promise.all([world.close(), rm(folder, { recursive: true })]);
});

beforeEach(async () => {
  sourceNumber++;
  server = new SnowflakeServer();
  server.columns = [
    { name: 'ID', type: 'fixed', scale: 0 },
    { name: 'PLAN', type: 'text' },
    { name: 'TAGS', type: 'array' },
    { name: 'UPDATED_AT', type: 'timestamp_ltz', scale: 9 },
  ];
  server.nowMs = Date.UTC(2026, 0, 1);
  apiEndpoint = await server.start();
  return () => server.stop();
});

/** People from and to these numbers, a second between the changes of one and the next. */
function change(from: number, to: number, startMs = START): void {
  for (let id = from; id <= to; id++) {
    const at = startMs + id * 1_000;
    server.rows.push({ at, cells: [String(id), 'free', '["a","b"]', `${String(at / 1_000)}.000000123`] });
  }
}

const deps = (more: Partial<OpenStore> = {}): OpenStore => ({
  readVariable: (name) => variables[name],
  clock: world.clock,
  apiEndpoint,
  ...more,
});

function service(more: Partial<OpenStore> = {}): WarehouseLoadService {
  return world.warehouseLoads(deps(more));
}

function mappingOf(more = '', signIn = 'key_file_env: SNOWFLAKE_KEY_FILE'): ReturnType<typeof parseMapping> {
  return parseMapping(`
source: sf${String(sourceNumber)}
from:
  snowflake: { account: acme-prod, user: loader, ${signIn}, warehouse: LOADING, role: READER, query: "SELECT * FROM crm.people;" }
  cursor: UPDATED_AT
  ${more}
key: "{ID}-{UPDATED_AT}"
time: UPDATED_AT
identifiers: { crm_id: ID }
event: { type: identify }
traits: { plan: PLAN, tags: TAGS }
`);
}

function load(
  more?: string,
  open?: Partial<OpenStore>,
  request?: Partial<WarehouseLoadRequest>,
): Promise<WarehouseLoadResult> {
  return service(open).load({ mapping: mappingOf(more), ...request });
}

describe('a load of the rows of a Snowflake query', () => {
  it('brings in all rows at first by one query, part by part, and then what is new or changed', async () => {
    change(1, 25);
    server.inlineRows = 4;
    server.partRows = 7;
    server.pending = 2;
    const first = await load('window: 10');
    expect(first).toMatchObject({ outcome: 'loaded', loads: 3, rows: 25, accepted: 25, refused: 0 });
    expect(first.position).toBe('2025-06-01T00:00:25.000000123Z');
    expect(server.queries).toEqual([
      'SELECT * FROM (SELECT * FROM crm.people\n) AS weft_query' +
        ' WHERE weft_query."UPDATED_AT" IS NOT NULL ORDER BY weft_query."UPDATED_AT"',
    ]);

    change(7, 7, START + 3_600_000);
    change(26, 27);
    const second = await load('window: 10');
    expect(second).toMatchObject({ accepted: 3, position: '2025-06-01T01:00:07.000000123Z' });
    expect(server.queries[1]).toContain(
      `WHERE weft_query."UPDATED_AT" > TO_TIMESTAMP_LTZ(?, 'YYYY-MM-DD"T"HH24:MI:SS.FF9TZH:TZM') ORDER BY`,
    );
    expect(server.binds).toEqual(['2025-05-31T23:50:25.000000123+00:00']);
    expect(server.sessionsEnded).toBe(server.logins.length);
  });

  it('reads rows of one cursor value in one window, wherever parts end', async () => {
    for (let i = 0; i < 12; i++) change(1, 1);
    server.rows = server.rows.map((row, i) => ({ ...row, cells: [String(i + 1), ...row.cells.slice(1)] }));
    change(20, 24);
    for (const partRows of [1, 3, 12]) {
      server.inlineRows = partRows - 1;
      server.partRows = partRows;
      expect(await load('window: 1', {}, { full: true })).toMatchObject({ loads: 6, rows: 17, refused: 0 });
    }
  });

  it('is not blinded by a row that is dated ahead', async () => {
    change(1, 2);
    change(3, 3, Date.UTC(2030, 0, 1));
    expect((await load()).position).toBe('2026-01-01T00:00:00.000000000Z');
  });

  it('ends the query where it is stopped while Snowflake works', async () => {
    change(1, 2);
    server.pending = 1_000_000;
    const abort = new AbortController();
    server.onPending = () => {
      abort.abort();
    };
    expect((await load('', {}, { signal: abort.signal })).outcome).toBe('interrupted');
    await expect.poll(() => server.cancelled.length).toBe(1);
  });

  it('leaves nothing behind in the folder that it runs in', async () => {
    change(1, 1);
    await load();
    expect(existsSync('snowflake.log')).toBe(false);
  });
});

describe('cells of Snowflake', () => {
  /** Rows as a load would copy them, by the client and its wire. */
  async function readCells(cells: readonly (string | null)[]): Promise<JsonObject[]> {
    server.rows = [{ at: 1, cells }];
    const query = mappingOf().from as WarehouseQuery;
    const source = openWarehouse({ ...query, cursor: null }, deps());
    const records: JsonObject[] = [];
    for await (const rows of source.read({ after: null, overlap: null }, undefined)) {
      records.push(...rows.map(({ record }) => record));
    }
    await source.close();
    return records;
  }

  it('are exact, whatever JavaScript would make of them', async () => {
    const cells: [type: string, scale: number, wire: string | null, expected: unknown][] = [
      ['fixed', 0, '12345678901234567890123456789012345678', '12345678901234567890123456789012345678'],
      ['fixed', 0, '-9007199254740993', '-9007199254740993'],
      ['fixed', 0, '42', 42],
      ['fixed', 2, '10.50', 10.5],
      ['real', 0, '1e-300', 1e-300],
      ['real', 0, 'NaN', null],
      ['real', 0, '-inf', null],
      ['boolean', 0, '1', true],
      ['boolean', 0, '0', false],
      ['date', 0, '20484', '2026-01-31'],
      ['date', 0, '-1', '1969-12-31'],
      ['time', 9, '43200.123456789', '12:00:00.123456789'],
      ['timestamp_ntz', 9, '1769860800.123456789', '2026-01-31T12:00:00.123456789'],
      ['timestamp_ltz', 9, '-0.000000001', '1969-12-31T23:59:59.999999999Z'],
      ['timestamp_tz', 9, '1769860800.123456789 960', '2026-01-31T12:00:00.123456789Z'],
      ['timestamp_ntz', 0, '253402300799', '9999-12-31T23:59:59.000000000'],
      ['binary', 0, '00FF10', 'AP8Q'],
      ['variant', 0, '{"a":[1,null],"id":9007199254740993}', { a: [1, null], id: '9007199254740993' }],
      ['variant', 0, '<a>1</a>', '<a>1</a>'],
      ['object', 0, '{"city":"Rīga"}', { city: 'Rīga' }],
      ['array', 0, '["a",9007199254740993]', ['a', '9007199254740993']],
      ['map', 0, '{}', {}],
      ['text', 0, 'NULL', 'NULL'],
      ['text', 0, '', ''],
      ...['text', 'fixed', 'time', 'variant', 'boolean', 'binary', 'timestamp_tz'].map(
        (type): [string, number, null, null] => [type, 0, null, null],
      ),
    ];
    server.columns = cells.map(([type, scale], i) => ({ name: `C${String(i)}`, type, scale }));
    const expected = Object.fromEntries(cells.map(([, , , value], i) => [`C${String(i)}`, value]));
    expect(await readCells(cells.map(([, , wire]) => wire))).toEqual([expected]);
  });

  it('whose parts have types of their own are refused, with a cast', async () => {
    server.columns = [{ name: 'M', type: 'map', fields: [{ type: 'text' }, { type: 'fixed', scale: 0 }] }];
    await expect(readCells(['{"a":1}'])).rejects.toMatchObject({ code: 'BAD_REQUEST', hint: /"M"::OBJECT/ });
  });
});

describe('signing in to Snowflake', () => {
  it('is by a token that the key of the file has signed, with the role and the warehouse of the mapping', async () => {
    await load();
    const { data, query } = server.logins[0] ?? { data: {}, query: new URLSearchParams() };
    expect(data).toMatchObject({ AUTHENTICATOR: 'SNOWFLAKE_JWT', LOGIN_NAME: 'loader' });
    expect(query.get('warehouse')).toBe('LOADING');
    expect(query.get('roleName')).toBe('READER');
    const [header = '', claims = '', signature = ''] = String(data['TOKEN']).split('.');
    expect(verify('sha256', Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, 'base64url'))).toBe(
      true,
    );
    const print = createHash('sha256')
      .update(publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64');
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
      iss: `ACME-PROD.LOADER.SHA256:${print}`,
      sub: 'ACME-PROD.LOADER',
    });
  });

  it.each([
    ['key_file_env: SEALED_FILE, key_passphrase_env: SEALED_PASSPHRASE', { AUTHENTICATOR: 'SNOWFLAKE_JWT' }],
    ['token_env: TOKEN', { AUTHENTICATOR: 'PROGRAMMATIC_ACCESS_TOKEN', TOKEN: SECRET }],
    ['password_env: PASSWORD', { PASSWORD: SECRET }],
  ])('is by %s', async (signIn, expected) => {
    const held = { SEALED_FILE: join(folder, 'sealed.p8'), SEALED_PASSPHRASE: SECRET, TOKEN: SECRET, PASSWORD: SECRET };
    const readVariable = (name: string): string | undefined => held[name as keyof typeof held];
    const mapping = mappingOf('', signIn);
    expect(await service({ readVariable }).load({ mapping })).toMatchObject({ rows: 0 });
    expect(server.logins[0]?.data).toMatchObject(expected);
    expect(JSON.stringify(mapping)).not.toContain(SECRET);
  });

  it('says what cannot be used, and nothing of what is in it', async () => {
    await expect(load('', { readVariable: () => undefined })).rejects.toMatchObject({
      code: 'NOT_CONFIGURED',
      where: 'SNOWFLAKE_KEY_FILE',
    });
    await writeFile(join(folder, 'broken.p8'), `-----BEGIN PRIVATE KEY-----\n${SECRET}`);
    for (const path of ['broken.p8', 'sealed.p8', `${SECRET}.p8`]) {
      const broken = load('', { readVariable: () => join(folder, path) });
      await expect(broken).rejects.toMatchObject({ code: 'CONFIG_INVALID', where: 'SNOWFLAKE_KEY_FILE' });
      await expect(broken).rejects.not.toThrow(SECRET);
    }
    server.refusals = { login: { code: '390144', message: `JWT token is invalid. ${SECRET}` } };
    const refused = load();
    await expect(refused).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: /refuses to sign in \(390144\)/ });
    await expect(refused).rejects.not.toThrow(SECRET);
  });

  it('to run without the client is refused with how to install it', async () => {
    const importPackage = (name: string): Promise<unknown> =>
      Promise.reject(Object.assign(new Error(`Cannot find package '${name}'`), { code: 'ERR_MODULE_NOT_FOUND' }));
    await expect(load('', { importPackage })).rejects.toMatchObject({
      code: 'NOT_CONFIGURED',
      hint: /npm install .*snowflake-sdk@3/,
    });
  });
});

describe('what a load of Snowflake refuses', () => {
  it('more than one statement, or another than a query, before anything runs', async () => {
    // What Snowflake answers to two statements where one is allowed.
    server.refusals = {
      plan: {
        code: '000008',
        sqlState: '0A000',
        message: 'Actual statement count 2 did not match the desired count 1.',
      },
    };
    await expect(load()).rejects.toMatchObject({ code: 'BAD_REQUEST', message: /statement count 2/ });
    expect(server.queries).toEqual([]);
    expect(server.described).toEqual(['SELECT * FROM (SELECT * FROM crm.people\n) AS weft_query']);
    expect(server.sessionsEnded).toBe(1);
  });

  it('a query that is wrong, by its message; a failure over rows, without values of them', async () => {
    server.refusals = { plan: { code: '000904', sqlState: '42000', message: `invalid identifier 'EMALI'` } };
    await expect(load()).rejects.toMatchObject({ code: 'BAD_REQUEST', message: /EMALI/ });
    server.refusals = { query: { code: '100038', sqlState: '22018', message: `Numeric value '${SECRET}'` } };
    await expect(load()).rejects.toMatchObject({ message: 'Snowflake refuses the query (100038)' });
  });

  it.each([
    ['000606', '57P03', 'BAD_REQUEST', /no warehouse/],
    ['003001', '42501', 'BAD_REQUEST', /denies access/],
    ['000630', '57014', 'UNAVAILABLE', /took longer/],
    ['390112', '08001', 'UNAVAILABLE', /has ended the session/],
  ])('an answer %s %s as %s', async (code, sqlState, expected, message) => {
    server.refusals = { query: { code, sqlState, message: 'no' } };
    await expect(load()).rejects.toMatchObject({ code: expected, message });
  });

  it('a mapping that is wrong, with all that is', () => {
    const from = (text: string) => (): unknown =>
      parseMapping(
        `source: a\nkey: a\nidentifiers: { crm_id: id }\nevent: { type: identify }\nfrom: { snowflake: ${text} }`,
      );
    expect(from(`{ account: "https://acme", password_env: "{ ${SECRET} }", query: DELETE }`)).toThrow(
      /"user" is missing[^]*identifier of an account[^]*name of an environment variable(?![^]*hidden-secret)/,
    );
    expect(from('{ account: acme, user: u, query: SELECT 1 }')).toThrow(/"key_file_env", "token_env"/);
    expect(
      from('{ account: acme, user: u, token_env: A, password_env: B, key_passphrase_env: C, query: SELECT 1 }'),
    ).toThrow(/one way to sign in[^]*needs "key_file_env"/);
  });
});
