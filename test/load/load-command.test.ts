import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { CommanderError } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { IdentityDecisionReader } from '../../src/identity/identity-decision.reader.js';
import { DeadLetterStore } from '../../src/events/dead-letter.store.js';
import { ManualClock } from '../../src/platform/clock.js';
import { describeProgress } from '../../src/sources/load-progress.js';
import type { EventAcceptor } from '../../src/sources/load-sender.js';
import { loadCommand } from '../../src/sources/load.command.js';
import { LoadService } from '../../src/sources/load.service.js';
import { LoadStore } from '../../src/sources/load.store.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { readLog, TRACKING_ENTITIES, trackingServices, type TrackingServices } from '../support/tracking-server.js';
import { NO_REVERTER, NO_REVERTS } from '../support/no-reverter.js';

const clock = new ManualClock(Date.UTC(2026, 0, 1));
let db: TestDatabase;
let services: TrackingServices;
let folder: string;
/** The blocks of docs/loading.md by language, the first of each. */
let doc: Record<'csv' | 'yaml' | 'json', string>;

beforeAll(async () => {
  db = await createTestDatabase({ entities: TRACKING_ENTITIES });
  services = trackingServices(db.database, clock);
  folder = await mkdtemp(join(tmpdir(), 'weft-load-command-'));
  const page = await readFile(new URL('../../docs/loading.md', import.meta.url), 'utf8');
  const block = (language: string): string => page.split(`\`\`\`${language}\n`)[1]?.split('```')[0] ?? '';
  doc = { csv: block('csv'), yaml: block('yaml'), json: block('json') };
  await writeFile(join(folder, 'orders.csv'), doc.csv);
  await writeFile(join(folder, 'orders.yaml'), doc.yaml);
});
afterAll(async () => {
  await db.drop();
  await rm(folder, { recursive: true });
});

interface Outcome {
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** Runs `weft load` with the arguments; file names are those of the test's folder. */
async function run(
  args: readonly string[],
  signal = new AbortController().signal,
  acceptor?: EventAcceptor,
): Promise<Outcome> {
  const outcome: Outcome = { code: undefined, stdout: '', stderr: '' };
  const stderr = new PassThrough().on('data', (text: Buffer) => (outcome.stderr += text.toString()));
  const service = new LoadService({
    sources: services.sources,
    loads: new LoadStore(db.database),
    acceptor: acceptor ?? services.accept,
    checker: services.accept,
    deadLetters: new DeadLetterStore(),
    identities: new IdentityDecisionReader(),
    db: db.database,
    clock,
    sleep: () => Promise.resolve(),
    reverter: NO_REVERTER,
    stdin: Readable.from([]),
  });
  const command = loadCommand({
    withLoadService: (use) => use(service),
    ...NO_REVERTS,
    stdin: Readable.from([]),
    withDryRun: (use) => use(service),
    signal,
    clock,
    stdout: { write: (text) => (outcome.stdout += text) },
    stderr,
    setExitCode: (code) => (outcome.code = code),
  });
  command.exitOverride().configureOutput({ writeErr: (text) => (outcome.stderr += text) });
  const inFolder = args.map((arg) => (/\.(csv|yaml|zst|parquet)$/.test(arg) ? join(folder, arg) : arg));
  await command.parseAsync(inFolder, { from: 'user' });
  return outcome;
}

describe('weft load', () => {
  it('shows the example of the documentation in a dry run', async () => {
    const { code, stdout } = await run(['orders.csv', '-m', 'orders.yaml', '--dry-run', '--json']);
    expect(code).toBe(0);
    const result = JSON.parse(stdout) as { firstEvents: unknown[]; events: number };
    expect(result.firstEvents[0]).toEqual(JSON.parse(doc.json));
    expect(result.events).toBe(2);
    expect(await readLog(services.log, 0)).toEqual([]);
  });

  it('loads, and says the second time that all is there', async () => {
    const first = await run(['orders.csv', '-m', 'orders.yaml', '--shift-to', '2025-12-31T23:00:00Z']);
    expect(first.code).toBe(0);
    expect(first.stdout).toContain('events      2: 2 accepted, 0 duplicates');
    const times = (await readLog(services.log, 0)).map((event) => event.occurredAt);
    expect(Math.max(...times)).toBe(Date.UTC(2025, 11, 31, 23));
    const second = await run(['orders.csv', '-m', 'orders.yaml', '--time-shift', '-1d12h']);
    expect(second.code).toBe(0);
    expect(second.stdout).toContain('Already loaded, nothing to do');
    expect(second.stdout).toContain('events      2, all in the log');
    expect(second.stdout).toContain('the one given now is not used');
  });

  it('ends with 3 where rows were refused, and with 1 beyond the limit', async () => {
    await writeFile(join(folder, 'bad.csv'), `${doc.csv}9,a,x,2010-12-01 08:26:00,1,1,UK\n`);
    expect((await run(['bad.csv', '-m', 'orders.yaml', '--max-errors', '0'])).code).toBe(1);
    const { code, stdout } = await run(['bad.csv', '-m', 'orders.yaml', '--max-errors', '50%']);
    expect(code).toBe(3);
    expect(stdout).toContain('refused     1 (1 BAD_VALUE)\n');
    expect(stdout).toMatch(/load +([0-9a-f-]{36})\n +see +weft dead-letters list --load \1\n/);
  });

  it('ends a dry run as it would end the load', async () => {
    const more = `${doc.csv}9,a,x,2010-12-01 08:26:00,1,1,UK\n10,a,1,2010-12-01 08:26:00,1,n/a,UK\n`;
    await writeFile(join(folder, 'dry.csv'), more);
    const dry = await run(['dry.csv', '-m', 'orders.yaml', '--dry-run', '--max-errors', '1']);
    expect(dry.code).toBe(1);
    expect(dry.stdout).toContain('a load would stop here');
    const tolerant = await run(['dry.csv', '-m', 'orders.yaml', '--dry-run']);
    expect(tolerant.code).toBe(3);
    const report = tolerant.stdout.split('\n').slice(-10).join('\n');
    expect(report).toContain('  refused     2 (1 BAD_VALUE, 1 NO_IDENTIFIER)\n              row 5: column "Quantity"');
    const loaded = await run(['dry.csv', '-m', 'orders.yaml']);
    expect(loaded.code).toBe(3);
    expect(loaded.stdout).toContain('  refused     2 (1 BAD_VALUE, 1 NO_IDENTIFIER)');
    const known = await run(['dry.csv', '-m', 'orders.yaml', '--dry-run']);
    expect(known.stdout).toContain('already, with this mapping: a load would send nothing');
  });

  it('tells which identifiers were left out, and never their values', async () => {
    const rows = ['7,ann at home,12345', '8,bob@example.com,12345', '9,n/a,+44 20 7946 0958', '10,carl@example.com,'];
    await writeFile(join(folder, 'crm.csv'), `id,email,phone\n${rows.join('\n')}\n`);
    const mapping = `source: crm
format: csv
key: '{id}'
identifiers: { crm_id: id, email: email, phone: phone }
event: { type: identify }
`;
    await writeFile(join(folder, 'crm.yaml'), mapping);
    const leftOut = 'left out    2 phone malformed, 1 email blocked, 1 email malformed; their events were taken';
    expect((await run(['crm.csv', '-m', 'crm.yaml', '--dry-run'])).stdout).toContain(leftOut);
    const { code, stdout } = await run(['crm.csv', '-m', 'crm.yaml']);
    expect(code).toBe(0);
    expect(stdout).toContain(leftOut);
    expect(stdout).not.toMatch(/ann at home|12345/);
    const again = await run(['crm.csv', '-m', 'crm.yaml', '--json']);
    const counts = { 'email.blocked': 1, 'email.malformed': 1, 'phone.malformed': 2 };
    expect(JSON.parse(again.stdout)).toMatchObject({ outcome: 'already_loaded', identifiersDropped: counts });
  });

  it('ends with 2 for a file that is not what the mapping says, and says what to change', async () => {
    const semicolons = doc.csv.replaceAll(',', ';');
    await writeFile(join(folder, 'semicolons.csv'), semicolons);
    const { code, stderr } = await run(['semicolons.csv', '-m', 'orders.yaml']);
    expect(code).toBe(2);
    expect(stderr).toContain('error: the mapping splits the header at ","; the file has another delimiter');
    expect(stderr).toContain('hint: write delimiter: ";" in the mapping');
    expect((await run(['none.csv', '-m', 'orders.yaml', '--dry-run'])).code).toBe(2);
  });

  it('loads the files that a pattern names, each once, up to one that does not end well', async () => {
    const row = (id: number, quantity: string): string => `${String(id)},a,${quantity},2010-12-01 08:26:00,1,1,UK\n`;
    const header = `${doc.csv.split('\n')[0] ?? ''}\n`;
    await writeFile(join(folder, 'part-1.csv'), header + row(801, '1'));
    await writeFile(join(folder, 'part-2.csv'), header + row(802, 'x'));
    await writeFile(join(folder, 'part-3.csv'), header + row(803, '1') + row(801, '1'));
    const args = ['part-*.csv', '-m', 'orders.yaml'];
    const stopped = await run([...args, '--max-errors', '0']);
    expect(stopped.code).toBe(1);
    expect(stopped.stdout).toContain('All files: 2, 1 not come to');
    const { code, stdout } = await run([...args, '--max-errors', '50%', '--json']);
    expect(code).toBe(3);
    const { files, total } = JSON.parse(stdout) as { files: { file: string; outcome: string }[]; total: object };
    expect(files.map(({ file, outcome }) => `${file.slice(folder.length + 1)} ${outcome}`)).toEqual([
      'part-1.csv already_loaded',
      'part-2.csv loaded',
      'part-3.csv loaded',
    ]);
    expect(total).toMatchObject({ files: 3, filesLeft: 0, events: 3, accepted: 1, duplicates: 2, refused: 1 });
    expect((await run(['no-*.csv', '-m', 'orders.yaml'])).stderr).toContain('no file fits the pattern');
    const shifted = await run([...args, '--shift-to', '2026-01-01']);
    expect(shifted.code).toBe(2);
    expect(shifted.stderr).toContain('--shift-to moves the times of one file');
  });

  it('drafts a mapping that the file can be loaded with, and never over a file that is there', async () => {
    const args = ['orders.csv', '--infer', '--out', 'drafted.yaml'];
    const { code, stderr } = await run(args);
    expect(code).toBe(0);
    expect(stderr).toContain('note: times of "InvoiceDate" name no zone; UTC is a guess');
    expect((await run(['orders.csv', '-m', 'drafted.yaml', '--dry-run'])).code).toBe(0);
    const again = await run(args);
    expect(again.code).toBe(2);
    expect(again.stderr).toContain('the mapping cannot be written: it is there already');
    expect((await run(['orders.csv', '--infer'])).stdout).toContain('\nformat: csv\n');
  });

  it('ends with 2 for a mapping that is not valid, and says where', async () => {
    await writeFile(join(folder, 'wrong.yaml'), doc.yaml.replace('format: csv ', 'format: tsv '));
    const wrong = await run(['orders.csv', '-m', 'wrong.yaml']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('wrong.yaml:2:9 format: must be one of csv, jsonl, parquet');
    expect((await run(['orders.csv', '-m', 'none.yaml'])).code).toBe(2);
  });

  it('refuses wrong arguments', async () => {
    const base = ['orders.csv', '-m', 'orders.yaml'];
    for (const wrong of [
      ['--time-shift', '5'],
      ['--shift-to', 'soon'],
      ['--max-errors', '101%'],
      ['--time-shift', '1d', '--shift-to', '2026-01-01'],
    ]) {
      await expect(run([...base, ...wrong])).rejects.toThrow(CommanderError);
    }
  });

  it('stops on request, and goes on when run again', async () => {
    const rows = Array.from(
      { length: 20_000 },
      (_, i) => `I${String(i)},a,1,2010-12-01 08:26:00,1,${String(i + 1_000)},UK`,
    );
    await writeFile(join(folder, 'long.csv'), `${doc.csv.split('\n')[0] ?? ''}\n${rows.join('\n')}\n`);
    const abort = new AbortController();
    const acceptor: EventAcceptor = {
      accept: async (source, events, options) => {
        abort.abort();
        return services.accept.accept(source, events, options);
      },
    };
    const stopped = await run(['long.csv', '-m', 'orders.yaml', '--quiet'], abort.signal, acceptor);
    expect(stopped.code).toBe(130);
    expect(stopped.stdout).toContain('run the same command again');
    const resumed = await run(['long.csv', '-m', 'orders.yaml', '--json']);
    expect(resumed.code).toBe(0);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ resumed: true, rows: 20_000, events: 20_000 });
  });

  it('tells rows, rate and time left', () => {
    const progress = { phase: 'loading', rows: 50_000, events: 0, refused: 7, bytesRead: 25, bytesTotal: 100 } as const;
    expect(describeProgress(progress, 2_000)).toBe('loading, 50,000 rows, 25,000 rows/s, 7 refused, 6 s left');
    expect(describeProgress({ ...progress, rows: 0, refused: 0, bytesRead: 1 }, 100_000)).toBe(
      'loading, 2 h 45 min left',
    );
  });

  it('tells no rate of the first moments, and what it is at once the file is read', () => {
    const progress = { phase: 'loading', rows: 500, events: 20, refused: 0, bytesRead: 25, bytesTotal: 100 } as const;
    expect(describeProgress(progress, 3)).toBe('loading, 500 rows');
    expect(describeProgress({ ...progress, phase: 'finishing', bytesRead: 100 }, 9_000)).toBe(
      'the file is read, writing the last events, 500 rows, 20 events',
    );
  });

  it('says which source was meant, perhaps, where it makes a new one', async () => {
    await services.sources.ensure({ key: 'webshop', kind: 'http' });
    await writeFile(join(folder, 'mistyped.yaml'), doc.yaml.replace(/^source: .*$/m, 'source: webshpo'));
    const dry = await run(['orders.csv', '-m', 'mistyped.yaml', '--dry-run']);
    expect(dry.stdout).toContain('webshpo (new; did you mean webshop?)');
    expect(await services.sources.findByKey('webshpo')).toBeNull();
    const loaded = await run(['orders.csv', '-m', 'mistyped.yaml', '--quiet']);
    expect(loaded.stderr).toContain('Made the source webshpo; did you mean webshop?');
    expect(loaded.stdout).toContain('webshpo (new; did you mean webshop?)');
    expect((await run(['orders.csv', '-m', 'mistyped.yaml', '--quiet'])).stderr).toBe('');
  });
});
