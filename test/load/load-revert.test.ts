import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IdentityDecisionReader } from '../../src/identity/identity-decision.reader.js';
import { createDeadLetters } from '../../src/create-dead-letters.js';
import type { EventAcceptor } from '../../src/events/accept.model.js';
import type { IncomingEvent } from '../../src/events/event.model.js';
import type { Confirm } from '../../src/platform/command-line.js';
import { loadCommand } from '../../src/sources/load.command.js';
import type { LoadReverter } from '../../src/sources/load.model.js';
import { LoadReader } from '../../src/sources/load.reader.js';
import { LoadService } from '../../src/sources/load.service.js';
import { LoadStore } from '../../src/sources/load.store.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { runWith, type CommandOutcome } from '../support/command-runner.js';
import { NO_REVERTS } from '../support/no-reverter.js';
import { defineSome } from '../support/random-log.js';
import { knownOf, strays } from '../support/retraction-builders.js';
import { anIdentify, aTrack, createWorld, DAY_MS, START_MS, type World } from '../support/world.js';

const ROWS = [
  'order,person,total,day',
  'o1,u1,10,2023-11-14T00:00:00Z',
  'o2,u1,15,2023-11-14T00:00:00Z',
  'o3,u2,7,2023-11-14T00:00:00Z',
  'o4,u3,many,2023-11-14T00:00:00Z',
  '',
].join('\n');

const mapping = (total: string): string => `
source: shop
format: csv
key: "{order}"
time: day
event: { type: track, name: buy }
identifiers: { user_id: person }
properties: { total: { column: ${total}, type: double } }
`;

describe('a load', () => {
  let world: World;
  let folder: string;
  let sources: SourceService;
  let confirm: Confirm | null;
  let beforeBatch: (events: readonly IncomingEvent[], loadId: string) => Promise<void>;

  beforeEach(async () => {
    world = await createWorld(START_MS);
    confirm = null;
    beforeBatch = () => Promise.resolve();
    await world.accept([], { source: 'web' });
    await defineSome(world);
    folder = await mkdtemp(join(tmpdir(), 'weft-revert-'));
    await writeFile(join(folder, 'orders.csv'), ROWS);
    await writeFile(join(folder, 'good.yaml'), mapping('total'));
    await writeFile(join(folder, 'bad.yaml'), mapping('order'));
    sources = new SourceService(new SourceStore(world.db.dataSource), world.clock);
  });

  afterEach(async () => {
    await world.close();
    await rm(folder, { recursive: true });
  });

  const weft = (...args: string[]): Promise<CommandOutcome> => {
    const { db, clock, engine } = world;
    const reverter: LoadReverter = {
      extentOfLoad: (id) => engine.retractions.extentOfLoad(id),
      takeBackLoad: (id) => engine.retractions.takeBackLoad(id),
      // Whoever waits lets the worker work.
      done: async (id, options) => {
        await world.drain();
        return engine.retractions.done(id, options);
      },
    };
    const service = new LoadService({
      sources,
      loads: new LoadStore(db),
      acceptor: {
        accept: async (source, events, options) => {
          await beforeBatch(events, options.loadId);
          return engine.accept.accept(source, events, options);
        },
      },
      checker: engine.accept,
      deadLetters: engine.deadLetters,
      identities: new IdentityDecisionReader(),
      reverter,
      db,
      clock,
      sleep: () => Promise.resolve(),
      stdin: Readable.from([]),
    });
    const loads = new LoadReader(db);
    return runWith(
      (io) =>
        loadCommand({
          ...io,
          stderr: io.stderr as never,
          stdin: process.stdin,
          clock,
          signal: new AbortController().signal,
          withLoadService: (use) => use(service),
          withWarehouseLoads: NO_REVERTS.withWarehouseLoads,
          withDryRun: (use) => use(service),
          withLoads: (use) => use(loads),
          withReverter: (use) => use({ loads, reverter }),
          confirm,
        }),
      args,
    );
  };
  const load = (file: string, ...more: string[]) =>
    weft(
      join(folder, 'orders.csv'),
      '--mapping',
      join(folder, file),
      '--quiet',
      '--json',
      '--max-errors',
      '1',
      ...more,
    );
  const loadId = ({ stdout }: CommandOutcome): string => (JSON.parse(stdout) as { loadId: string }).loadId;
  const totals = async () =>
    Object.fromEntries(
      Object.entries((await knownOf(world)).features).map(([who, features]) => [who, features['dearest']?.value]),
    );

  it('is reverted as if it had never been, and loaded again', async () => {
    await world.accept([anIdentify({ user_id: 'u1', anonymous_id: 'a1' }), aTrack('buy', { user_id: 'u2' })]);
    await world.drain();
    const before = await knownOf(world);
    const loaded = await load('good.yaml');
    expect(loaded.code).toBe(3);
    await world.drain();
    expect(await totals()).toEqual({ 'anonymous_id:a1 user_id:u1': 15, 'user_id:u2': 7 });
    const id = loadId(loaded);
    const dry = await weft('revert', id, '--dry-run', '--json');
    expect(JSON.parse(dry.stdout)).toEqual({ load: id, events: 3, profiles: 2, records: 0 });
    expect(await weft('revert', id)).toMatchObject({ code: 2 });
    const feed = (await world.feed()).length;
    expect(await weft('revert', id, '--yes')).toMatchObject({ code: 0 });
    expect(await knownOf(world)).toEqual(before);
    expect(await strays(world.db)).toEqual([]);
    const told = (await world.feed()).slice(feed);
    expect(new Set(told.map(({ cause }) => cause.kind))).toEqual(new Set(['revert']));
    expect((await weft('list')).stdout).toContain('reverted');
    expect(JSON.parse((await weft('revert', id, '--yes', '--json')).stdout)).toMatchObject({
      removed: 3,
      wasReverted: true,
    });
    expect((await weft('revert', id)).stdout).toContain('it was reverted already, and 3 events');

    const again = await load('good.yaml');
    expect(JSON.parse(again.stdout)).toMatchObject({ outcome: 'loaded', accepted: 3, duplicates: 0 });
    expect(loadId(again)).not.toBe(id);
    await world.drain();
    expect(await totals()).toEqual({ 'anonymous_id:a1 user_id:u1': 15, 'user_id:u2': 7 });
  });

  it('is replaced by a mended one, and stands where that would not end well', async () => {
    await writeFile(join(folder, 'wrong.yaml'), mapping('total').replace('user_id: person', 'user_id: order'));
    const wrong = loadId(await load('wrong.yaml'));
    await world.drain();
    const before = await knownOf(world);
    expect(Object.keys(before.features)).toEqual(['user_id:o1', 'user_id:o2', 'user_id:o3']);
    const refused = await load('bad.yaml', '--replace', wrong, '--yes');
    expect(refused).toMatchObject({ code: 1 });
    expect(refused.stderr).toContain('Nothing was changed');
    await world.drain();
    expect(await knownOf(world)).toEqual(before);

    const replaced = await load('good.yaml', '--replace', wrong, '--yes');
    expect(JSON.parse(replaced.stdout)).toMatchObject({ outcome: 'loaded', accepted: 3, duplicates: 0 });
    await world.drain();
    expect(await totals()).toEqual({ 'user_id:u1': 15, 'user_id:u2': 7 });
    // Run again after a stop, it only finds that all is done.
    expect(JSON.parse((await load('good.yaml', '--replace', wrong)).stdout)).toMatchObject({
      outcome: 'already_loaded',
    });
  });

  describe('that is to be replaced stands', () => {
    let wrong: string;

    beforeEach(async () => {
      await writeFile(join(folder, 'wrong.yaml'), mapping('total').replace('user_id: person', 'user_id: order'));
      wrong = loadId(await load('wrong.yaml'));
      await world.drain();
    });

    const expectThatItStands = async (): Promise<void> => {
      await world.drain();
      const [row] = await world.db.query('SELECT status FROM loads WHERE id = $1', [wrong]);
      expect(row).toEqual({ status: 'done' });
      expect(Object.keys((await knownOf(world)).features)).toEqual(['user_id:o1', 'user_id:o2', 'user_id:o3']);
    };

    it('while its source is paused', async () => {
      await sources.update('shop', { paused: true });
      const refused = await load('good.yaml', '--replace', wrong, '--yes');
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toContain('the source shop is paused');
      await expectThatItStands();
    });

    it('where its source is paused while somebody is asked', async () => {
      confirm = async () => (await sources.update('shop', { paused: true })).paused;
      expect((await load('good.yaml', '--replace', wrong)).stderr).toContain('the source shop is paused');
      await expectThatItStands();
    });

    it('where the mapping is of another source', async () => {
      await writeFile(join(folder, 'other.yaml'), mapping('total').replace('source: shop', 'source: web'));
      const refused = await load('other.yaml', '--replace', wrong, '--yes');
      expect(refused.stderr).toContain('the load is of the source shop, and the mapping is of web');
      await expectThatItStands();
    });

    it('where the file changes after it was checked', async () => {
      confirm = async () => {
        await appendFile(join(folder, 'orders.csv'), 'o5,u5,1,2023-11-14T00:00:00Z\n');
        return true;
      };
      const refused = await load('good.yaml', '--replace', wrong);
      expect(refused.stderr).toContain('the file is not what it was when it was checked');
      await expectThatItStands();
    });

    it('unless that is confirmed', async () => {
      expect(await load('good.yaml', '--replace', wrong)).toMatchObject({ code: 2 });
      await expectThatItStands();
      const questions: string[] = [];
      confirm = (question) => {
        questions.push(question);
        return Promise.resolve(false);
      };
      expect(await load('good.yaml', '--replace', wrong)).toMatchObject({ code: 1, stderr: 'Nothing was changed.\n' });
      expect(questions).toEqual([expect.stringContaining('3 events of 3 profiles. Revert it?')]);
      await expectThatItStands();
      confirm = () => Promise.resolve(true);
      expect(await load('good.yaml', '--replace', wrong)).toMatchObject({ code: 3 });
    });
  });

  it('that brought in mended rows leaves them refused as they were, but for those that others brought in, too', async () => {
    const { db } = world;
    const states = async () =>
      (await db.query<{ state: string }>('SELECT state FROM dead_letters ORDER BY id')).map(({ state }) => state);
    const first = loadId(await load('good.yaml'));
    await writeFile(join(folder, 'orders.csv'), ROWS.replace('many', '4'));
    const mended = await load('good.yaml');
    expect(JSON.parse(mended.stdout)).toMatchObject({ accepted: 1, duplicates: 3, lettersSettled: 1 });
    expect(await states()).toEqual(['replayed']);
    await weft('revert', loadId(mended), '--yes');
    expect(await states()).toEqual(['open']);
    expect(await db.query('SELECT settled_at, settled_load_id FROM dead_letters')).toEqual([
      { settled_at: null, settled_load_id: null },
    ]);

    // Its event came in by another way meanwhile, so that the mended row is a duplicate.
    const bought = aTrack('buy', { user_id: 'u3' }, { messageId: 'o4' });
    await world.engine.accept.accept({ id: 2, key: 'shop' }, [bought], { historical: true });
    const again = await load('good.yaml');
    expect(JSON.parse(again.stdout)).toMatchObject({ accepted: 0, lettersSettled: 1 });
    await weft('revert', loadId(again), '--yes');
    expect(await states()).toEqual(['replayed']);

    await writeFile(join(folder, 'orders.csv'), `${ROWS}o5,u5,few,2023-11-14T00:00:00Z\n`);
    const other = loadId(await load('good.yaml'));
    await writeFile(join(folder, 'orders.csv'), `${ROWS}o5,u5,5,2023-11-14T00:00:00Z\n`);
    const last = loadId(await load('good.yaml'));
    for (const id of [other, last, first]) await weft('revert', id, '--yes');
    // Nobody is to mend rows of a load that is gone.
    expect(await states()).not.toContain('open');
  });

  it('takes the rows with it that were fixed and replayed', async () => {
    const { db, clock, engine } = world;
    const id = loadId(await load('good.yaml'));
    const [letter] = await db.query<{ id: number }>('SELECT id FROM dead_letters');
    const letters = createDeadLetters(engine, sources, engine.accept, { db, clock });
    world.clock.advance(DAY_MS);
    const asIs = await letters.replay([letter?.id ?? 0]);
    expect(asIs).toMatchObject([{ status: 'refused', code: 'BAD_VALUE' }]);
    expect(await letters.replay([letter?.id ?? 0], { fix: { total: '99' } })).toMatchObject([{ status: 'accepted' }]);
    await world.drain();
    expect((await totals())['user_id:u3']).toBe(99);
    const [event] = await db.query<{ historical: boolean; n: number }>(
      `SELECT historical, count(*) OVER () AS n FROM event_log WHERE load_id = $1 LIMIT 1`,
      [id],
    );
    expect(event).toEqual({ historical: true, n: 4 });
    expect(await weft('revert', id, '--yes')).toMatchObject({ code: 0 });
    expect(await totals()).toEqual({});
  });

  it('that is reverted while it runs stops there, says so, and reports nothing as loaded', async () => {
    let events: readonly unknown[] = [];
    beforeBatch = async (batch, id) => {
      events = batch;
      beforeBatch = () => Promise.resolve();
      await world.engine.accept.accept({ id: 2, key: 'shop' }, batch.slice(0, 1), { historical: true, loadId: id });
      await engineTakesBack(id);
    };
    const stopped = await load('good.yaml');
    expect(stopped).toMatchObject({ code: 1, stdout: '' });
    expect(stopped.stderr).toContain('the load is being reverted');
    expect(events).toHaveLength(3);
    expect(await world.db.query('SELECT status, accepted, duplicates FROM loads')).toEqual([
      { status: 'reverting', accepted: 0, duplicates: 0 },
    ]);
    await world.drain();
    expect(await totals()).toEqual({});
    expect(JSON.parse((await load('good.yaml')).stdout)).toMatchObject({ accepted: 3, duplicates: 0 });
  });

  it('takes no row that is fixed and replayed while it is being reverted', async () => {
    const { db, clock, engine } = world;
    const id = loadId(await load('good.yaml'));
    const [letter] = await db.query<{ id: number }>('SELECT id FROM dead_letters');
    const acceptor: EventAcceptor = {
      accept: async (...call) => {
        await engineTakesBack(id);
        return engine.accept.accept(...call);
      },
    };
    const letters = createDeadLetters(engine, sources, acceptor, { db, clock });
    expect(await letters.replay([letter?.id ?? 0], { fix: { total: '99' } })).toMatchObject([
      { status: 'refused', code: 'LOAD_REVERTED' },
    ]);
    await world.drain();
    expect(await db.query('SELECT state FROM dead_letters')).toEqual([{ state: 'discarded' }]);
    expect(await totals()).toEqual({});
  });

  it('that another process is at is not gone on with once it is reverted', async () => {
    const id = loadId(await load('good.yaml'));
    await engineTakesBack(id);
    const late = world.engine.accept.accept({ id: 2, key: 'shop' }, [aTrack('buy', { user_id: 'u9' })], {
      historical: true,
      loadId: id,
    });
    await expect(late).rejects.toMatchObject({ code: 'CONFLICT', where: id });
    const store = new LoadStore(world.db);
    const counts = { rowsRead: 1, rowsSkipped: 0, accepted: 1, duplicates: 0, refused: 0, dropped: {} };
    await expect(store.update(id, 'done', counts, 0)).rejects.toThrow('reverted while it ran');
    await expect(load('good.yaml')).resolves.toMatchObject({ code: 1 });
    await world.drain();
    expect(await totals()).toEqual({});
  });

  const engineTakesBack = (id: string) => world.engine.retractions.takeBackLoad(id);
});
