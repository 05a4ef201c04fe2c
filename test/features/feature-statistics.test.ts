import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnchorStateStore } from '../../src/features/anchor-state.store.js';
import type { FeatureExpectation } from '../../src/features/expectation.model.js';
import { addStatisticsCommand } from '../../src/monitoring/feature-statistics.command.js';
import { FeatureStatisticsReader } from '../../src/monitoring/feature-statistics.reader.js';
import { StatisticsRun } from '../../src/statistics-run.js';
import { StatisticsWatch } from '../../src/statistics-watch.js';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { aTrack, anIdentify, DAY_MS, HOUR_MS } from '../support/world.js';

/* Statistics of features over people. */

let world: ApiWorld;
let watch: StatisticsWatch;
const expectations = new Map<string, FeatureExpectation>();
const told: string[] = [];

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineFeatures([
    aFeature('orders', { events: ['order'] }),
    aFeature('category', { aggregate: 'last', events: ['order'], value: 'properties.category', type: 'string' }),
    aFeature('mail', { aggregate: 'last', events: ['order'], value: 'properties.email', type: 'string' }),
  ]);
  const run = new StatisticsRun({
    db: world.db,
    clock: world.clock,
    definitions: () => world.engine.definitions.current(),
    anchors: new AnchorStateStore(),
    pause: () => Promise.resolve(),
  });
  const onError = (error: unknown): void => {
    throw error as Error;
  };
  watch = new StatisticsWatch({
    ...{ db: world.db, clock: world.clock, run, onError },
    expectations: () => Promise.resolve(expectations),
    observer: {
      violated: () => undefined,
      began: ({ feature, kind }) => told.push(`began ${feature} ${kind}`),
      ended: (feature, kind) => told.push(`ended ${feature} ${kind}`),
    },
  });
  // 250 people, more than a page: of each ten, five buy shoes once, one hats twice, the others nothing.
  for (let n = 0; n < 250; n++) {
    const who = { user_id: `u${String(n)}` };
    const properties = { category: n % 10 === 5 ? 'hats' : 'shoes', email: 'ann@example.com' };
    const orders = Array.from({ length: n % 10 < 5 ? 1 : n % 10 === 5 ? 2 : 0 }, () =>
      aTrack('order', who, { properties }),
    );
    await world.accept([anIdentify(who), ...orders]);
  }
  // Seen under two identifiers, and one person all the same.
  await world.accept([aTrack('order', { anonymous_id: 'a' }), anIdentify({ anonymous_id: 'a', user_id: 'u0' })]);
  await world.drain();
  await watch.look();
});

afterAll(() => world.close());

const QUERY = `query ($feature: String) { featureStatistics(feature: $feature) { edges { node {
  feature profiles nulls distinct numbers { min max mean quantiles { p value } histogram { from to count } }
  topValues { value count } computedAt newestEventAt medianAgeMs } } } }`;

interface Answer {
  readonly featureStatistics: { readonly edges: readonly { readonly node: Record<string, unknown> }[] };
}

const ask = async (feature: string | null) =>
  (await world.ask<Answer>(QUERY, { feature })).data?.featureStatistics.edges.map(({ node }) => node);

describe('statistics of features', () => {
  it('are of everybody, each once', async () => {
    expect(await ask('orders')).toMatchObject([
      { profiles: 250, nulls: 0, distinct: 3, numbers: { min: 0, max: 2 }, topValues: [] },
    ]);
    const [orders] = (await ask('orders')) ?? [];
    expect((orders?.['numbers'] as { mean: number }).mean).toBeCloseTo((125 + 50 + 1) / 250, 12);
    // Who was seen under two identifiers bought last what had no category.
    expect(await ask('category')).toMatchObject([
      {
        ...{ profiles: 250, nulls: 101, distinct: 2, numbers: null },
        topValues: [
          { value: 'shoes', count: 124 },
          { value: 'hats', count: 25 },
        ],
      },
    ]);
  });

  it('tell no value of what is personal, stored or answered', async () => {
    expect(await ask('mail')).toMatchObject([{ profiles: 250, nulls: 101, distinct: 1, topValues: [] }]);
    const rows = await world.db.query<{ row: string }>('SELECT s::text AS row FROM feature_statistics s');
    expect(rows.filter(({ row }) => row.includes('@'))).toEqual([]);
    expect((await ask(null))?.map((node) => node['feature'])).toEqual(['category', 'mail', 'orders']);
  });

  it('are computed again after an hour, and kept once a day', async () => {
    const before = await ask('orders');
    await watch.look();
    expect(await ask('orders')).toEqual(before);
    for (const laterMs of [HOUR_MS, DAY_MS]) {
      world.clock.advance(laterMs);
      await watch.look();
    }
    expect((await ask('orders'))?.[0]?.['computedAt']).toBe(new Date(world.clock.now()).toISOString());
    const days = await world.db.query(`SELECT day FROM feature_statistics WHERE feature = 'orders'`);
    expect(days).toHaveLength(2);
  });

  it('are held against what is expected, against the days before, and told once each', async () => {
    expectations.set('orders', { max: 2, psi: 0.25, steady: true });
    expectations.set('category', { null_share: 0.1, distinct_min: 2 });
    world.clock.advance(6 * DAY_MS);
    await watch.look();
    world.clock.advance(HOUR_MS);
    await watch.look();
    expect(told).toEqual(['began category null_share']);
    for (let n = 0; n < 250; n++) {
      const orders = Array.from({ length: 5 }, () => aTrack('order', { user_id: `u${String(n)}` }));
      await world.accept(orders);
    }
    await world.drain();
    world.clock.advance(DAY_MS);
    await watch.look();
    expect(told.slice(1).sort()).toEqual([
      'began category distinct_min',
      'began orders max',
      'began orders psi',
      'began orders steady',
    ]);
    const query = `{ featureAlerts(onlyOpen: true, first: 2) { edges { node { feature kind value bound violations } }
      pageInfo { hasNextPage endCursor } } featureDrift { edges { node { feature psi ks ksP meanChanged } } } }`;
    const { data, errors } = await world.ask<{ featureDrift: { edges: { node: { feature: string } }[] } }>(query);
    expect(errors).toBeUndefined();
    expect(data).toMatchObject({ featureAlerts: { pageInfo: { hasNextPage: true } } });
    const drift = data?.featureDrift.edges.find(({ node }) => node.feature === 'orders')?.node;
    expect(drift).toMatchObject({ ks: 1, meanChanged: true });
    expectations.clear();
    world.clock.advance(HOUR_MS);
    await watch.look();
    expect(told.filter((each) => each.startsWith('ended'))).toHaveLength(5);
  });

  it('are shown by weft features stats', async () => {
    const reader = new FeatureStatisticsReader(world.db);
    const run = (...args: string[]) =>
      runWith(
        (io) =>
          addStatisticsCommand(new Command('features'), {
            ...io,
            signal: new AbortController().signal,
            withStatistics: (use) =>
              use({
                names: () => Promise.resolve(['orders', 'new']),
                latest: (name) => reader.latest(name),
                compute: () => Promise.resolve(null),
              }),
          }),
        ['stats', ...args],
      );
    const { code, stdout } = await run('orders');
    expect(code).toBe(0);
    expect(stdout).toMatch(/different values +3/);
    expect(stdout).toMatch(/p50 +6\n/);
    expect(JSON.parse((await run('orders', '--json')).stdout)).toMatchObject({ feature: 'orders', profiles: 250 });
    expect(await run('order')).toMatchObject({ code: 1, stderr: expect.stringContaining('orders') as string });
    expect(await run('new')).toMatchObject({ code: 1, stderr: expect.stringContaining('--now') as string });
  });
});
