import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkSources } from '../../src/monitoring/doctor.js';
import { Metrics } from '../../src/platform/metrics.js';
import { AnomalyWatch } from '../../src/sources/anomaly-watch.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { HOUR_MS, START_MS } from '../support/world.js';

const HOUR = START_MS - (START_MS % HOUR_MS);
const WEEKS = 4;

let world: ApiWorld;
let sourceId: number;
const told: string[] = [];

beforeAll(async () => {
  world = await createApiWorld();
  sourceId = (await world.services.sources.ensure({ key: 'web', kind: 'http' })).id;
  await world.db.execute(
    `INSERT INTO source_hours (source_id, hour, accepted)
     SELECT $1::int4, $2::int8 - n * 3600000, 1000 FROM generate_series(0::int8, $3::int8) n`,
    [sourceId, HOUR, WEEKS * 7 * 24],
  );
  await setSeen(START_MS);
});

afterAll(() => world.close());

async function setSeen(at: number): Promise<void> {
  await world.db.execute(
    `INSERT INTO source_seen VALUES ($1::int4, $2::int8) ON CONFLICT (source_id) DO UPDATE SET last_seen_at = $2::int8`,
    [sourceId, at],
  );
}

function newWatch(detects = true): AnomalyWatch {
  return new AnomalyWatch({
    db: world.db,
    clock: world.clock,
    sources: world.services.sources,
    detects,
    observer: {
      began: (source, kind, expected, seen) => told.push(`${source} ${kind} ${String(expected)} ${String(seen)}`),
      ended: (source, kind) => told.push(`${source} ${kind} ended`),
    },
    sweep: () => Promise.resolve(),
    onError: (error) => {
      throw error as Error;
    },
  });
}

interface Anomalies {
  source: { anomalies: { kind: string; since: string; endedAt: string | null; expected: number; seen: number }[] };
}

const anomalies = async (): Promise<Anomalies['source']['anomalies']> =>
  (await world.data<Anomalies>('{ source(key: "web") { anomalies { kind since endedAt expected seen } } }')).source
    .anomalies;

describe('the watch over sources', () => {
  it('is quiet while a source sends what it uses to', async () => {
    await newWatch().look();
    expect(told).toEqual([]);
    expect(await checkSources(world.db)).toMatchObject({ outcome: 'ok' });
  });

  it('notices once that a source fell silent, tells everybody, and when it is over', async () => {
    world.clock.advance(30 * 60_000);
    await Promise.all([newWatch().look(), newWatch().look()]);
    await newWatch().look();
    expect(told.splice(0)).toEqual(['web stale 500 0']);
    expect(await anomalies()).toEqual([
      { kind: 'STALE', since: new Date(START_MS).toISOString(), endedAt: null, expected: 500, seen: 0 },
    ]);
    expect(await checkSources(world.db)).toMatchObject({
      outcome: 'warning',
      detail: `web: stale since ${new Date(START_MS).toISOString()}`,
    });
    const reader = newWatch(false);
    await reader.look();
    const metrics = new Metrics({ defaults: false });
    metrics.gauges('source_anomaly', 'x', ['source', 'kind'], () =>
      reader.open.map(({ sourceKey, kind }) => [[sourceKey, kind], 1] as const),
    );
    expect(await metrics.text()).toContain('weft_source_anomaly{source="web",kind="stale"} 1');

    await setSeen(world.clock.now());
    await newWatch().look();
    expect(told.splice(0)).toEqual(['web stale ended']);
    await reader.look();
    expect(await metrics.text()).not.toContain('kind="stale"');
    expect(await anomalies()).toMatchObject([{ kind: 'STALE', endedAt: new Date(world.clock.now()).toISOString() }]);
  });

  it('notices an hour with far less and one with far more, and does not count loaded history', async () => {
    world.clock.set(HOUR + HOUR_MS + 1);
    await setSeen(world.clock.now());
    const setHour = (accepted: number, loaded: number) =>
      world.db.execute('UPDATE source_hours SET accepted = $2, loaded = $3 WHERE hour = $1::int8', [
        HOUR,
        accepted,
        loaded,
      ]);
    await setHour(10_100, 10_000);
    await newWatch().look();
    expect(told.splice(0)).toEqual(['web volume_low 1000 100']);
    await setHour(5_000, 0);
    await newWatch().look();
    expect(told.splice(0)).toEqual(['web volume_high 1000 5000', 'web volume_low ended']);
  });

  it('expects nothing of a source that is paused', async () => {
    await world.services.sources.update('web', { paused: true });
    await newWatch().look();
    expect(told.splice(0)).toEqual(['web volume_high ended']);
    await world.services.sources.update('web', { paused: false });
  });
});
