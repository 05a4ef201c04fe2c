import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseTimestamp } from '../../src/api/parse-timestamp.js';
import { DeadLetterReader } from '../../src/events/dead-letter.reader.js';
import { deadLettersCommand } from '../../src/events/dead-letters.command.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';

describe('weft dead-letters show, fix, replay and discard', () => {
  let world: ApiWorld;
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-repair-'));
    world = await createApiWorld();
    // An event without its name, one without anybody, and one that is neither.
    await send({ userId: 'ann', properties: { amount: '12' } });
    await send({ event: 'Signed Up' });
    await send({ userId: 'bob', event: 'Signed Up' });
  });

  afterEach(async () => {
    await world.close();
    await rm(folder, { recursive: true });
  });

  const send = (body: unknown): Promise<unknown> =>
    fetch(`${world.url}/v1/track`, {
      method: 'POST',
      headers: { authorization: `Bearer ${world.keys.ingest}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  function run(...args: string[]): Promise<CommandOutcome> {
    const letters = new DeadLetterReader(world.db);
    const sourceKeys = async (): Promise<Map<number, string>> =>
      new Map((await world.services.sources.list()).map(({ id, key }) => [id, key]));
    return runWith(
      (io) =>
        deadLettersCommand({
          ...io,
          withDeadLetters: (use) => use({ letters, sourceKeys, fileNames: () => Promise.resolve(new Map()) }),
          withRepair: (use) => use({ letters, repair: world.services.letters, sourceKeys }),
          parseTime: parseTimestamp,
          signal: new AbortController().signal,
        }),
      args,
    );
  }

  const idOf = async (code: string): Promise<string> => {
    const [row] = await world.db.query<{ id: number }>('SELECT id FROM dead_letters WHERE code = $1', [code]);
    return String(row?.id);
  };
  const logged = async (): Promise<number> => {
    const [row] = await world.db.query<{ count: number }>('SELECT count(*) AS count FROM event_log');
    return row?.count ?? 0;
  };
  const states = async (): Promise<string[]> =>
    (await world.db.query<{ state: string }>('SELECT state FROM dead_letters ORDER BY id')).map(({ state }) => state);

  it('shows a letter with what was handed in, and what its fix makes of it', async () => {
    const id = await idOf('NAME_MISSING');
    expect((await run('fix', id, '--set', 'event=Bought', '--set', 'properties.amount=12')).code).toBe(0);
    const { stdout } = await run('show', id);
    expect(stdout).toContain('"amount": "12"');
    expect(stdout).toMatch(/fixed[^]*"event": "Bought"[^]*/);
    const { mended } = JSON.parse((await run('show', id, '--json')).stdout) as { mended: unknown };
    expect(mended).toMatchObject({ event: 'Bought', userId: 'ann', properties: { amount: 12 } });
    expect((await run('fix', id, '--clear')).code).toBe(0);
    expect((await run('show', id)).stdout).not.toContain('Bought');
  });

  it('replays a fixed letter once, and only says what would become of it in a dry run', async () => {
    const id = await idOf('NAME_MISSING');
    const patch = join(folder, 'patch.json');
    await writeFile(patch, '{"event": "Bought", "properties": {"amount": null}}');
    const dry = await run('replay', id, '--merge', patch, '--dry-run');
    expect(dry).toMatchObject({ code: 0 });
    expect(await logged()).toBe(1);
    expect((await run('replay', id, '--merge', patch)).code).toBe(0);
    expect(await logged()).toBe(2);
    expect(await states()).toEqual(['replayed', 'open']);
    await run('replay', id);
    expect(await logged()).toBe(2);
  });

  it('ends with 3 where some are refused again, and leaves those open', async () => {
    const { code, stdout } = await run('replay', '--source', 'web', '--set', 'event=Bought');
    expect(code).toBe(3);
    expect(stdout).toContain('NO_IDENTIFIER');
    expect(await states()).toEqual(['replayed', 'open']);
  });

  it('discards by filter, and tells letters that are gone from those that never were', async () => {
    expect(await run('discard', '--code', 'NO_IDENTIFIER')).toMatchObject({ code: 0, stdout: 'Discarded 1.\n' });
    expect(await states()).toEqual(['open', 'discarded']);
    expect(JSON.parse((await run('discard', '--all', '--json')).stdout)).toEqual({
      discarded: 1,
      replaying: 0,
      replayed: 0,
    });
    expect(JSON.parse((await run('discard', '--all', '--json')).stdout)).toEqual({
      discarded: 0,
      replaying: 0,
      replayed: 0,
    });
    const missing = await run('show', '999');
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('no dead letter 999') as string });
  });

  it.each([
    [['replay'], 'say which dead letters'],
    [['replay', '1', '--all'], 'say which dead letters'],
    [['discard'], 'say which dead letters'],
    [['fix', '1'], 'nothing is to be fixed'],
    [['replay', '1', '--merge', '/nowhere/patch.json'], 'cannot be read'],
  ])('refuses %j, and does nothing', async (args, message) => {
    const { code, stderr } = await run(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(await states()).toEqual(['open', 'open']);
  });
});
