import { afterEach, expect, it } from 'vitest';
import { parseFeatures } from '../../src/features/parse-features.js';
import { checkDamagedRows } from '../../src/monitoring/check-damaged-rows.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { aTrack, createWorld, DAY_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

const VIEWS = `entities: [{ name: article, join_key: article_id }]
views:
  - { name: reads, entity: article, key: properties.article, features: [{ name: reads, aggregate: count, events: [read] }] }
`;

let world: World;

afterEach(() => world.close());

it('rows of the log that work goes on without are told by the doctor until they are put back or gone', async () => {
  const passedOver: string[] = [];
  world = await createWorld(START_MS, {
    observers: {
      rowsPassedOver: (work, { count }) => {
        passedOver.push(`${work} ${String(count)}`);
      },
    },
  });
  await world.accept([]);
  await world.engine.services.features.apply(parseFeatures(VIEWS, 'f.yaml'));
  await world.drain();
  await world.accept(
    [1, 2, 3].map((i) =>
      aTrack('read', { user_id: `u${String(i)}` }, { messageId: `m${String(i)}`, properties: { article: 'a' } }),
    ),
  );
  await world.drain();
  const [kept] = await world.db.query<{ pos: number; part: number; payload: Buffer }>(
    'SELECT pos, part, payload FROM event_log ORDER BY pos LIMIT 1',
  );
  const setPayload = (payload: Buffer | undefined) =>
    world.db.query('UPDATE event_log SET payload = $2 WHERE pos = $1', [kept?.pos, payload]);
  const takeBack = async (messageId: string): Promise<void> => {
    const [source] = await world.db.query<{ id: number }>('SELECT id FROM sources');
    await world.engine.retractions.takeBackMessages({ id: source?.id ?? 0 } as never, [messageId]);
    world.clock.advance(MINUTE_MS);
    await world.drain();
  };
  const doctor = () => checkDamagedRows(world.db);
  expect(await doctor()).toEqual({ name: 'damaged rows', outcome: 'ok', detail: 'none was met' });

  await setPayload(Buffer.from([0, 7]));
  // The item is folded anew from the events that are left.
  await takeBack('m3');
  expect(passedOver.splice(0)).toEqual(['items 1']);
  const { outcome, detail } = await doctor();
  expect(outcome).toBe('warning');
  expect(detail.split(' at ')[0]).toBe(
    `1 rows of the log cannot be read; the first is event_log.pos ${String(kept?.pos)}, partition ${String(kept?.part)}, met by items`,
  );
  await setPayload(kept?.payload);
  expect(await doctor()).toMatchObject({ outcome: 'ok' });
  await takeBack('m2');
  expect(passedOver).toEqual([]);

  await setPayload(Buffer.from([0, 7]));
  expect(await doctor()).toMatchObject({ outcome: 'warning' });
  world.clock.advance(20 * DAY_MS);
  await new SourceService(new SourceStore(world.db.dataSource), world.clock).update('web', {
    retentionMs: 10 * DAY_MS,
  });
  world.clock.advance(MINUTE_MS);
  await world.drain();
  expect(passedOver).toEqual(['retention 1']);
  expect(await world.db.query('SELECT FROM event_log')).toEqual([]);
  expect(await world.db.query('SELECT FROM damaged_rows')).toEqual([]);
  expect(await doctor()).toMatchObject({ outcome: 'ok' });
});
