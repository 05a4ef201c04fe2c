import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { EventScanReader } from '../../src/events/event-scan.reader.js';
import { addTableCommands } from '../../src/features/export-table.command.js';
import type { TableManifest } from '../../src/features/table-file.js';
import { TableService } from '../../src/features/table.service.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { anIdentify, aTrack, createWorld, HOUR_MS, START_MS, type World } from '../support/world.js';

let world: World;
let folder: string;
let tables: TableService;

beforeAll(async () => {
  world = await createWorld(START_MS, { sealed: true });
  folder = await mkdtemp(join(tmpdir(), 'weft-tables-'));
  await world.accept([
    aTrack(
      'view',
      { anonymous_id: 'a1' },
      { timestampMs: START_MS - HOUR_MS, properties: { page: 'home', $private: { text: 'psst' } } },
    ),
    { ...anIdentify({ anonymous_id: 'a1', email: 'ada@example.org' }), traits: { plan: 'pro', salary: 9_000 } },
    aTrack('view', { user_id: 'other' }),
  ]);
  await world.drain();
  await world.db.query(
    `INSERT INTO trait_definitions (name, description, edge, sealed, updated_at) VALUES ('salary', '', false, true, 0)`,
  );
  const events = new EventHistoryReader(world.vault ?? undefined);
  tables = new TableService({
    db: world.db,
    events: new EventScanReader(world.db, world.vault ?? undefined),
    identity: new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events }),
  });
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

function run(args: readonly string[]): Promise<CommandOutcome> {
  return runWith(
    (io) => {
      const exported = new Command('export');
      const signal = new AbortController().signal;
      addTableCommands(exported, {
        ...io,
        withTables: (use) => use(tables),
        signal,
        clock: world.clock,
        parseTime: parseTimestamp,
      });
      return exported;
    },
    args.map((arg) => (arg.endsWith('.parquet') ? join(folder, arg) : arg)),
  );
}

async function rowsOf(name: string): Promise<Record<string, unknown>[]> {
  const bytes = await readFile(join(folder, name));
  return parquetReadObjects({ file: new Uint8Array(bytes).buffer });
}

describe('weft export events', () => {
  it('writes each event with whose it is now, without what is private or sealed', async () => {
    expect((await run(['events', '-o', 'events.parquet'])).code).toBe(0);
    const [first, second, third] = await rowsOf('events.parquet');
    const ada = await world.db.query<{ id: string }>(`SELECT profile_id AS id FROM identifiers WHERE value = 'a1'`);
    expect(first).toMatchObject({
      source: 'web',
      type: 'track',
      name: 'view',
      occurred_at: new Date(START_MS - HOUR_MS),
      historical: false,
      profile_id: ada[0]?.id,
      identifiers: '[{"namespace":"anonymous_id","value":"a1"}]',
      properties: '{"page":"home"}',
      traits: null,
    });
    expect(second).toMatchObject({ type: 'identify', profile_id: ada[0]?.id, traits: '{"plan":"pro"}' });
    expect(third?.['profile_id']).not.toBe(ada[0]?.id);
    const all = JSON.stringify(await rowsOf('events.parquet'), (_, v: unknown) =>
      typeof v === 'bigint' ? Number(v) : v,
    );
    // Ids have any four digits in them now and then.
    expect(all).not.toMatch(/psst|salary|(?<![\da-f-])9000(?![\da-f-])/);
  });

  it('takes those of a time, without columns that are dropped, and tells the manifest', async () => {
    const to = new Date(START_MS).toISOString();
    const { stdout } = await run([
      'events',
      '--to',
      to,
      '--drop',
      'identifiers,context',
      '-o',
      'some.parquet',
      '--json',
    ]);
    const manifest = JSON.parse(stdout) as TableManifest;
    expect(manifest).toMatchObject({ rows: 1, damagedEvents: 0, file: 'some.parquet' });
    expect(manifest.columns).not.toContain('identifiers');
    expect((await rowsOf('some.parquet')).map((row) => Object.keys(row))).toEqual([manifest.columns]);
  });

  it('says which columns there are, and leaves nothing behind', async () => {
    const odd = await run(['events', '--drop', 'email', '-o', 'x.parquet']);
    expect(odd).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('columns are position, message_id') as string,
    });
    expect((await run(['events', '-o', 'x.csv'])).stderr).toContain('.parquet');
    expect((await readdir(folder)).filter((name) => name.startsWith('x'))).toEqual([]);
  });
});

describe('weft export identities', () => {
  it('writes which identifiers stand for whom now', async () => {
    const { code, stdout } = await run(['identities', '-o', 'ids.parquet']);
    expect([code, stdout]).toEqual([0, expect.stringContaining('rows        3')]);
    const rows = await rowsOf('ids.parquet');
    const byProfile = new Map<unknown, string[]>();
    for (const { profile_id: profile, namespace, value } of rows) {
      byProfile.set(profile, [...(byProfile.get(profile) ?? []), `${String(namespace)}:${String(value)}`]);
    }
    expect([...byProfile.values()].map((own) => own.sort()).sort()).toEqual([
      ['anonymous_id:a1', 'email:ada@example.org'],
      ['user_id:other'],
    ]);
  });
});
