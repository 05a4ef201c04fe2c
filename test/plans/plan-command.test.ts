import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { planCommand } from '../../src/plans/plan.command.js';
import { PlanReader } from '../../src/plans/plan.reader.js';
import { PlanService } from '../../src/plans/plan.service.js';
import { ViolationReader } from '../../src/plans/violation.reader.js';
import { ViolationRecorder } from '../../src/plans/violation.recorder.js';
import { ViolationStore } from '../../src/plans/violation.store.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { aTrack, createWorld, DAY_MS, type World } from '../support/world.js';

let world: World;
let folder: string;
let recorder: ViolationRecorder | null = null;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-plan-'));
  world = await createWorld(undefined, { observers: { settled: (call) => recorder?.settled(call) } });
  recorder = new ViolationRecorder({
    store: new ViolationStore(world.db),
    clock: world.clock,
    onError: (error) => {
      throw error as Error;
    },
    onViolation: () => undefined,
  });
  const old = Array.from({ length: 30 }, (_, i) => aTrack('old', { user_id: `u${String(i)}` }));
  await world.accept(old);
  world.clock.advance(30 * DAY_MS);
  const orders = Array.from({ length: 400 }, (_, i) =>
    aTrack(
      'order',
      { user_id: `u${String(i % 20)}` },
      { properties: { id: `o-${String(i)}`, total: i, email: 'a@b.example' } },
    ),
  );
  await world.accept(orders);
});

afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

function run(...args: string[]): Promise<CommandOutcome> {
  const { db, clock } = world;
  const sources = new SourceService(new SourceStore(db.dataSource), clock);
  return runWith(
    (io) =>
      planCommand({
        ...io,
        withPlans: (use) =>
          use({
            service: new PlanService({ db, clock, sources, onApplied: () => world.plans.refresh() }),
            reader: new PlanReader(db),
            violations: new ViolationReader(db),
            sourceKeys: async () => new Map((await sources.list()).map(({ id, key }) => [id, key])),
          }),
        clock,
        parseTime: parseTimestamp,
        user: 'ann',
      }),
    args,
  );
}

describe('weft plan', () => {
  it('drafts, applies, compares, lists, shows and goes back', async () => {
    const drafted = await run('infer', 'web');
    expect(drafted).toMatchObject({ code: 0 });
    expect(drafted.stderr).toContain('Drafted of 400 events');
    expect(drafted.stdout).toContain('# 400 times');
    expect(drafted.stdout).not.toContain('a@b.example');
    expect(drafted.stdout).not.toContain('old');

    const file = join(folder, 'web.yaml');
    await writeFile(file, drafted.stdout);
    expect(await run('apply', file, '--dry-run')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('+ track order') as string,
    });
    expect((await run('list')).stdout).toContain('There are no tracking plans.');
    expect((await run('apply', file)).stdout).toContain('Version 1 is in force.');
    expect((await run('apply', file)).stdout).toContain('Nothing to change');

    await writeFile(file, drafted.stdout.replace('total: { type: integer }', 'total: { type: string }'));
    expect((await run('apply', file)).stdout).toContain('~ track order: properties.total\n');
    expect((await run('list', 'web')).stdout).toMatch(/web +2 +1 +\S+ +ann\nweb +1 /);
    expect((await run('restore', 'web', '1', '--json')).stdout).toContain('"version": 3');
    const shown = await run('show', 'web');
    await writeFile(file, shown.stdout);
    expect((await run('apply', file)).stdout).toContain('version 3 of web says the same');
    expect((await run('show', 'web', '--version', '2', '--json')).stdout).toContain('"appliedBy": "ann"');
  });

  it('drafts of the events that can be read where one is damaged', async () => {
    const newest = 'pos = (SELECT max(pos) FROM event_log)';
    const [kept] = await world.db.query<{ payload: Buffer }>(`SELECT payload FROM event_log WHERE ${newest}`);
    await world.db.query(`UPDATE event_log SET payload = '\\x0007' WHERE ${newest}`);
    const drafted = await run('infer', 'web');
    await world.db.query(`UPDATE event_log SET payload = $1 WHERE ${newest}`, [kept?.payload]);
    expect(drafted).toMatchObject({ code: 0, stderr: expect.stringContaining('Drafted of 399 events') as string });
  });

  it('shows what was violated, and of what event', async () => {
    await world.accept([
      aTrack('order', { user_id: 'u1' }, { messageId: 'bad', properties: { id: 'o-1', total: 'x' } }),
    ]);
    await recorder?.writes.flush();
    const { stdout } = await run('violations', 'web', '--since', '1h');
    expect(stdout).toMatch(/track order +invalid_value +properties.total +1 +\S+ +bad/);
    expect((await run('violations', 'web', '--rule', 'unplanned_event')).stdout).toBe(
      'There are no such violations.\n',
    );
  });

  it('ends with 1 for what is not there and with 2 for what is wrong', async () => {
    expect(await run('show', 'wep')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('did you mean web?') as string,
    });
    expect(await run('restore', 'web', '99')).toMatchObject({ code: 1 });
    expect(await run('restore', 'web', 'x')).toMatchObject({ code: 2 });
    expect(await run('apply', join(folder, 'none.yaml'))).toMatchObject({ code: 1 });
    const file = join(folder, 'bad.yaml');
    await writeFile(file, 'tracking_plan: web\nevents: [{ name: a, properties: { b: { type: text } } }]');
    const refused = await run('apply', file);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toContain('bad.yaml:2:');
    expect(await run('infer', 'web', '--since', 'yesterday')).toMatchObject({ code: 1 });
    expect(await run('infer', 'web', '--since', '2030-01-01T00:00:00Z')).toMatchObject({ code: 1 });
  });
});
