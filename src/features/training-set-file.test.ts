import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { parse } from 'csv-parse/sync';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { DamagedRows } from '../events/damaged-rows.model.js';
import type { FeatureDefinition, FeatureType, FeatureValue } from './feature.model.js';
import { writeTrainingSet } from './training-set-file.js';
import { ParquetRows } from './training-set-parquet.js';
import {
  definitionsHash,
  type PlannedFeature,
  type TrainingColumn,
  type TrainingRow,
  type TrainingSetPlan,
} from './training-set.model.js';

let folder: string;
const folders: string[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-training-set-'));
  folders.push(folder);
});
afterAll(() => Promise.all(folders.map((each) => rm(each, { recursive: true }))));

function aFeature(name: string, type: FeatureType, more: Partial<FeatureDefinition> = {}): PlannedFeature {
  const rest = { events: [], source: null, where: null, value: null, windowMs: null, unitMs: null, limit: null };
  const definition: FeatureDefinition = {
    name,
    type,
    view: 'v',
    description: '',
    aggregate: 'count',
    ...rest,
    ...more,
  };
  return { definition, viewVersion: 3 };
}

const FEATURES = [
  aFeature('orders', 'int'),
  aFeature('spend', 'double'),
  aFeature('country', 'string'),
  aFeature('opted_in', 'bool'),
  aFeature('seen_at', 'timestamp'),
  aFeature('visits', 'times'),
];
const PLAN: TrainingSetPlan = {
  features: FEATURES,
  service: { name: 's', version: 2 },
  knownAsOf: Date.UTC(2026, 0, 2),
  consentAsOf: 'now',
  fullNames: false,
  toPos: 77,
  waitingEvents: 0,
};
const SET = { plan: PLAN, damaged: new DamagedRows(), startedAtMs: 0 };
const LABEL: TrainingColumn = { name: 'label', type: 'int' };
const T = Date.UTC(2026, 0, 1);

function aRow(values: readonly FeatureValue['value'][], more: Partial<TrainingRow> = {}): TrainingRow {
  const features = values.map((value) => ({
    status: value === null ? ('NOT_FOUND' as const) : ('PRESENT' as const),
    value,
    eventTs: null,
    validUntil: Infinity,
    approximate: false,
  }));
  const label = { ns: 'email', value: 'a@x.org', timeMs: T, cells: ['1'] };
  return { label, status: 'FOUND', profileId: 'p1', values: features, ...more };
}

async function* rowsOf(rows: readonly TrainingRow[]): AsyncGenerator<TrainingRow, void, undefined> {
  for (const row of rows) yield await Promise.resolve(row);
}

const ROWS = [
  aRow([3, 0.5, 'he said "no",\r\nthen', true, T, [T, 1]]),
  aRow([0, -1e21, '', false, null, []], { label: { ns: 'n,s', value: 'é', timeMs: T + 1, cells: ['007'] } }),
  aRow([null, null, null, null, null, []], { status: 'NOT_FOUND', profileId: null }),
];

describe('a training set as CSV', () => {
  it('is as RFC 4180 has it, with empty cells for null and quoted ones for the empty text', async () => {
    const path = join(folder, 'set.csv');
    await writeTrainingSet(path, { ...SET, rows: rowsOf(ROWS) }, [LABEL], T);
    expect(await readFile(path, 'utf8')).toBe(
      [
        'ns,value,time,label,profile_id,entity_status,orders,spend,country,opted_in,seen_at,visits',
        `email,a@x.org,2026-01-01T00:00:00.000Z,1,p1,FOUND,3,0.5,"he said ""no"",\r\nthen",true,2026-01-01T00:00:00.000Z,"[${String(T)},1]"`,
        '"n,s",é,2026-01-01T00:00:00.001Z,007,p1,FOUND,0,-1e+21,"",false,,[]',
        'email,a@x.org,2026-01-01T00:00:00.000Z,1,,NOT_FOUND,,,,,,[]',
        '',
      ].join('\r\n'),
    );
  });

  it('comes back from another reader as it was, whatever the texts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary' })), async (texts) => {
        const rows = texts.map((text) => aRow([1, 1, text, true, 1, []]));
        await writeTrainingSet(join(folder, 'set.csv'), { ...SET, rows: rowsOf(rows) }, [LABEL], T);
        const read = parse<{ country: string }>(await readFile(join(folder, 'set.csv')), { columns: true });
        expect(read.map((row) => row.country)).toEqual(texts);
      }),
      { numRuns: 30 },
    );
  });
});

describe('a training set as Parquet', () => {
  const read = async (bytes: Uint8Array) => {
    const file = new Uint8Array(bytes).buffer;
    return { metadata: parquetMetadata(file), rows: await parquetReadObjects({ file }) };
  };

  it('has typed columns and nulls', async () => {
    const path = join(folder, 'set.parquet');
    await writeTrainingSet(path, { ...SET, rows: rowsOf(ROWS) }, [LABEL], T);
    const { rows, metadata } = await read(await readFile(path));
    expect(rows).toEqual([
      {
        ns: 'email',
        value: 'a@x.org',
        time: new Date(T),
        label: 1n,
        profile_id: 'p1',
        entity_status: 'FOUND',
        orders: 3n,
        spend: 0.5,
        country: 'he said "no",\r\nthen',
        opted_in: true,
        seen_at: new Date(T),
        visits: [BigInt(T), 1n],
      },
      expect.objectContaining({ orders: 0n, spend: -1e21, country: '', opted_in: false, seen_at: null, visits: [] }),
      expect.objectContaining({ profile_id: null, orders: null, spend: null, country: null, opted_in: null }),
    ]);
    const types = new Map(metadata.schema.map(({ name, type }) => [name, type]));
    expect([types.get('orders'), types.get('spend'), types.get('opted_in')]).toEqual(['INT64', 'DOUBLE', 'BOOLEAN']);
  });

  it('holds lists as lists and maps as JSON, as CSV holds both', async () => {
    const features = [aFeature('skus', 'string_list'), aFeature('spend_by', 'double_map')];
    const set = { ...SET, plan: { ...PLAN, features } };
    const rows = [aRow([['a', 'b'], { shoes: 2.5, '10': 1 }]), aRow([[], {}])];
    const path = join(folder, 'maps.parquet');
    await writeTrainingSet(path, { ...set, rows: rowsOf(rows) }, [LABEL], T);
    const { rows: written } = await read(await readFile(path));
    expect(written.map((row) => [row['skus'], row['spend_by']] as unknown[])).toEqual([
      [['a', 'b'], { shoes: 2.5, '10': 1 }],
      [[], {}],
    ]);
    const csv = join(folder, 'maps.csv');
    await writeTrainingSet(csv, { ...set, rows: rowsOf(rows) }, [LABEL], T);
    const [first] = parse<{ skus: string; spend_by: string }>(await readFile(csv), { columns: true });
    expect([first?.skus, first?.spend_by].map((text) => JSON.parse(text ?? '') as unknown)).toEqual([
      ['a', 'b'],
      { shoes: 2.5, '10': 1 },
    ]);
  });

  it('is written row group by row group', async () => {
    const columns: TrainingColumn[] = [
      { name: 'n', type: 'int' },
      { name: 'x', type: 'double' },
    ];
    const file = new ParquetRows(columns);
    const parts: Buffer[] = [];
    for (let n = 0; n < 120_001; n++) {
      const bytes = file.add([n, n % 3 === 0 ? null : n / 7]);
      if (bytes !== null) parts.push(Buffer.from(bytes));
    }
    parts.push(Buffer.from(file.end()));
    const { rows, metadata } = await read(Buffer.concat(parts));
    expect(parts).toHaveLength(3);
    expect(metadata.row_groups.map((group) => Number(group.num_rows))).toEqual([50_000, 50_000, 20_001]);
    expect(rows).toHaveLength(120_001);
    expect([rows[49_999], rows[50_000], rows[120_000]]).toEqual([
      { n: 49_999n, x: 49_999 / 7 },
      { n: 50_000n, x: 50_000 / 7 },
      { n: 120_000n, x: null },
    ]);
  });

  it('may have no rows', async () => {
    const path = join(folder, 'set.parquet');
    await writeTrainingSet(path, { ...SET, rows: rowsOf([]) }, [LABEL], T);
    expect((await read(await readFile(path))).rows).toEqual([]);
  });
});

describe('the manifest of a training set', () => {
  it('says what the file is and what it rests on', async () => {
    const path = join(folder, 'set.csv');
    const manifest = await writeTrainingSet(path, { ...SET, rows: rowsOf(ROWS) }, [LABEL], T);
    const bytes = await readFile(path);
    expect(JSON.parse(await readFile(`${path}.manifest.json`, 'utf8'))).toEqual(manifest);
    expect(manifest).toMatchObject({
      file: 'set.csv',
      sha256: createHash('sha256').update(bytes).digest('hex'),
      bytes: bytes.length,
      rows: 3,
      notFoundRows: 1,
      damagedEvents: 0,
      createdAt: '2026-01-01T00:00:00.000Z',
      fullNames: false,
      knownAsOf: '2026-01-02T00:00:00.000Z',
      consentAsOf: 'now',
      logPosition: 77,
      service: { name: 's', version: 2 },
      definitionsHash: definitionsHash(FEATURES),
    });
    expect(manifest.features[0]).toEqual({ name: 'orders', type: 'int', view: 'v', viewVersion: 3 });
  });

  it('changes its hash of the definitions with their content, not with their description', () => {
    const hashOf = (more: Partial<FeatureDefinition>): string => definitionsHash([aFeature('f', 'int', more)]);
    expect(hashOf({ description: 'other' })).toBe(hashOf({}));
    expect(hashOf({ events: ['order'] })).not.toBe(hashOf({}));
    expect(hashOf({ windowMs: 1 })).not.toBe(hashOf({}));
  });
});

describe('writing a training set', () => {
  it('leaves nothing behind when it fails', async () => {
    async function* failing(): AsyncGenerator<TrainingRow, void, undefined> {
      yield* rowsOf(ROWS);
      throw new Error('lost connection');
    }
    const writing = writeTrainingSet(join(folder, 'set.csv'), { ...SET, rows: failing() }, [LABEL], T);
    await expect(writing).rejects.toThrow('lost connection');
    expect(await readdir(folder)).toEqual([]);
  });

  it('leaves no file without its manifest', async () => {
    const path = join(folder, 'set.csv');
    await mkdir(`${path}.manifest.json`);
    const writing = writeTrainingSet(path, { ...SET, rows: rowsOf(ROWS) }, [LABEL], T);
    await expect(writing).rejects.toMatchObject({ code: 'BAD_REQUEST', where: `${path}.manifest.json` });
    expect(await readdir(folder)).toEqual(['set.csv.manifest.json']);
  });

  it('keeps what is there already until all of the new one is', async () => {
    const path = join(folder, 'set.csv');
    const manifest = await writeTrainingSet(path, { ...SET, rows: rowsOf(ROWS) }, [LABEL], T);
    async function* failing(): AsyncGenerator<TrainingRow, void, undefined> {
      yield* rowsOf([]);
      throw new Error('lost connection');
    }
    await expect(writeTrainingSet(path, { ...SET, rows: failing() }, [LABEL], T)).rejects.toThrow('lost');
    const sha256 = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    expect(sha256).toBe(manifest.sha256);
    expect(await readdir(folder)).toEqual(['set.csv', 'set.csv.manifest.json']);
  });

  it('to a path that another writes to, too, leaves one of the two whole', async () => {
    const path = join(folder, 'set.csv');
    const many = (country: string) => Array.from({ length: 5_000 }, () => aRow([1, 1, country, true, 1, []]));
    const manifests = await Promise.all(
      ['here', 'elsewhere'].map((country) =>
        writeTrainingSet(path, { ...SET, rows: rowsOf(many(country)) }, [LABEL], T),
      ),
    );
    const sha256 = createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
    expect(manifests.map((manifest) => manifest.sha256)).toContain(sha256);
    expect(await readdir(folder)).toEqual(['set.csv', 'set.csv.manifest.json']);
  });

  it('refuses another ending, a folder that is not there, and two columns of one name', async () => {
    const write = (path: string, passed = LABEL) =>
      writeTrainingSet(join(folder, path), { ...SET, rows: rowsOf(ROWS) }, [passed], T);
    await expect(write('set.json')).rejects.toMatchObject({ code: 'BAD_REQUEST', where: 'out' });
    await expect(write('none/set.csv')).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    await expect(write('set.csv', { name: 'spend', type: 'int' })).rejects.toMatchObject({ where: 'spend' });
    expect(await readdir(folder)).toEqual([]);
  });
});
