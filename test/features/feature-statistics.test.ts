import { hash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnchorStateStore } from '../../src/features/anchor-state.store.js';
import type { FeatureExpectation } from '../../src/features/expectation.model.js';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { FeatureReader } from '../../src/features/feature.reader.js';
import { makeTrainingSet } from '../../src/features/make-training-set.js';
import { TrainingSetService } from '../../src/features/training-set.service.js';
import { IdentityHistoryReader } from '../../src/identity/identity-history.reader.js';
import { FeatureAlertReader } from '../../src/monitoring/feature-alert.reader.js';
import { addDriftCommand } from '../../src/monitoring/feature-drift.command.js';
import { addReferenceCommand } from '../../src/monitoring/feature-reference.command.js';
import { FeatureReferenceReader } from '../../src/monitoring/feature-reference.reader.js';
import { FeatureReferenceService } from '../../src/monitoring/feature-reference.service.js';
import { addStatisticsCommand } from '../../src/monitoring/feature-statistics.command.js';
import { FeatureStatisticsReader } from '../../src/monitoring/feature-statistics.reader.js';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { LiveDriftWatch } from '../../src/live-drift-watch.js';
import { LiveSample } from '../../src/live-sample.js';
import { unpackSnapshot } from '../../src/segments/profile-snapshot.model.js';
import { StatisticsRun } from '../../src/statistics-run.js';
import { StatisticsWatch } from '../../src/statistics-watch.js';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { aTrack, anIdentify, DAY_MS, HOUR_MS } from '../support/world.js';

/* Statistics of features over people. */

interface ReferencePage {
  readonly edges: readonly { readonly node: { readonly name: string } }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

let world: ApiWorld;
let watch: StatisticsWatch;
let run: StatisticsRun;
const expectations = new Map<string, FeatureExpectation>();
const told: string[] = [];

beforeAll(async () => {
  world = await createApiWorld();
  await world.defineFeatures([
    aFeature('orders', { events: ['order'] }),
    aFeature('category', { aggregate: 'last', events: ['order'], value: 'properties.category', type: 'string' }),
    aFeature('mail', { aggregate: 'last', events: ['order'], value: 'properties.email', type: 'string' }),
  ]);
  run = new StatisticsRun({
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

  describe('against a training set', () => {
    const reader = () => new FeatureReferenceReader(world.db);
    let folder: string;

    const drift = (...args: string[]) =>
      runWith(
        (io) =>
          addDriftCommand(new Command('features'), {
            ...io,
            signal: new AbortController().signal,
            withDrift: (use) =>
              use({
                views: () => new FeatureReader(world.db).views(),
                days: (features, from, to) => new FeatureAlertReader(world.db).daysBetween(features, from, to),
                compute: (names) => run.tally(undefined, names),
                reference: (name) => reader().features(name),
                references: async () => (await reader().all()).map(({ name }) => name),
                nowMs: () => world.clock.now(),
              }),
          }),
        ['drift', ...args],
      );
    const reference = (...args: string[]) =>
      runWith(
        (io) =>
          addReferenceCommand(new Command('features'), {
            ...io,
            withReferences: (use) => use({ reader: reader(), service: new FeatureReferenceService(world) }),
          }),
        ['reference', ...args],
      );
    /** The manifest of a set of orders as they were at a time. */
    async function manifestOf(name: string, timeMs: number): Promise<string> {
      const labels = join(folder, `${name}.labels.csv`);
      const rows = Array.from({ length: 250 }, (_, n) => `user_id,u${String(n)},${String(timeMs)},0`);
      await writeFile(labels, ['ns,value,time,label', ...rows].join('\n'));
      const { db, clock, engine } = world;
      const events = new EventHistoryReader();
      const identity = new IdentityHistoryReader({ rules: DEFAULT_IDENTITY_RULES, events });
      const sets = new TrainingSetService({ db, clock, policy: engine.policy, identity, events });
      const out = join(folder, `${name}.csv`);
      const order = { labels, out, features: ['orders', 'category', 'mail'], split: null };
      await makeTrainingSet(
        sets,
        { ...order, knownAsOf: 'now', consentAsOf: 'now' },
        { parseTime: Number, now: () => clock.now(), signal: new AbortController().signal },
      );
      return `${out}.manifest.json`;
    }

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'weft-drift-'));
      told.length = 0;
    });
    afterAll(() => rm(folder, { recursive: true }));

    it('says what has drifted since, by the manifest alone or by its name, and ends with 1', async () => {
      const [then, now] = await Promise.all([
        manifestOf('then', world.clock.now() - 5 * DAY_MS),
        manifestOf('now', world.clock.now()),
      ]);
      const text = await readFile(then, 'utf8');
      expect(text).not.toContain('ann@example.com');
      expect(text).toContain('"rows": 250');
      const { code, stdout } = await drift('--manifest', then);
      expect(code).toBe(1);
      expect(stdout).toMatch(/^orders +drifted/m);
      expect(await drift('--manifest', now)).toMatchObject({ code: 0 });
      expect((await reference('set', then, '--name', 'intent')).stdout).toContain(
        'Registered intent: 3 features of 250 rows',
      );
      expect((await reference('set', then)).stderr).toContain('give --name');
      expect((await reference('list')).stdout).toMatch(/intent +250/);
      const orders = await drift('--against', 'intent', '--feature', 'orders', '--json');
      expect(JSON.parse(orders.stdout)).toMatchObject({
        drifted: 1,
        features: [{ feature: 'orders', verdict: 'drifted', ks: 1 }],
      });
      expect((await drift('--against', 'intend')).stderr).toContain('did you mean intent?');
      expect((await drift('--against', 'intent', '--max-psi', '90')).code).toBe(0);
    });

    it('is registered, listed and forgotten over the API, too', async () => {
      const manifest = await readFile(join(folder, 'now.csv.manifest.json'), 'utf8');
      const set = (name: string | null, text = manifest) =>
        world.data<{ setFeatureReference: Record<string, unknown> }>(
          `mutation ($manifest: String!, $name: String) { setFeatureReference(manifest: $manifest, name: $name) {
            __typename ... on FeatureReference { name rows setAt madeAt manifestSha256 } ... on Failure { message where } } }`,
          { manifest: text, name },
        );
      expect((await set('intent_now')).setFeatureReference).toEqual({
        __typename: 'FeatureReference',
        name: 'intent_now',
        rows: 250,
        setAt: new Date(world.clock.now()).toISOString(),
        madeAt: new Date(world.clock.now()).toISOString(),
        manifestSha256: hash('sha256', manifest, 'hex'),
      });
      expect((await set(null)).setFeatureReference).toMatchObject({ __typename: 'BadRequest', where: 'manifest' });
      expect((await set('No Name')).setFeatureReference).toMatchObject({ __typename: 'BadRequest', where: 'name' });
      expect((await set('odd', '{"format":2}')).setFeatureReference).toMatchObject({
        message: 'the file is no manifest of a training set',
      });
      const names: string[] = [];
      for (let after: string | null = null, more = true; more;) {
        const { featureReferences: page }: { featureReferences: ReferencePage } = await world.data(
          `query ($after: String) { featureReferences(first: 1, after: $after) {
            edges { node { name } } pageInfo { hasNextPage endCursor } } }`,
          { after },
        );
        names.push(...page.edges.map(({ node }) => node.name));
        ({ endCursor: after, hasNextPage: more } = page.pageInfo);
      }
      expect(names).toEqual(['intent', 'intent_now']);
      const remove = (name: string) =>
        world.data(
          `mutation ($name: String!) { removeFeatureReference(name: $name) {
            __typename ... on RemovedFeatureReference { name } ... on Failure { hint } } }`,
          { name },
        );
      expect(await remove('intent_now')).toEqual({
        removeFeatureReference: { __typename: 'RemovedFeatureReference', name: 'intent_now' },
      });
      expect(await remove('intend')).toEqual({
        removeFeatureReference: { __typename: 'NotFound', hint: 'did you mean intent?' },
      });
    });

    it('is expected by a view, and becomes an alert', async () => {
      expectations.set('orders', { psi: 0.25, against: 'intent' });
      expectations.set('category', { psi: 0.25, against: 'gone' });
      world.clock.advance(HOUR_MS);
      await watch.look();
      expect(told).toEqual(['began orders psi']);
      const query = `query ($against: String) { featureDrift(against: $against) { edges { node { feature reference psi } } } }`;
      const ask = async (against: string | null) => {
        const { data, errors } = await world.ask<{ featureDrift: { edges: { node: Record<string, unknown> }[] } }>(
          query,
          { against },
        );
        return errors?.[0]?.message ?? data?.featureDrift.edges.map(({ node }) => [node['feature'], node['reference']]);
      };
      expect(await ask(null)).toContainEqual(['orders', 'intent']);
      expect(await ask('intent')).toEqual(['category', 'mail', 'orders'].map((name) => [name, 'intent']));
      expect(await ask('intend')).toContain('no training set is registered');
      expect((await reference('remove', 'intent')).code).toBe(0);
      world.clock.advance(HOUR_MS);
      await watch.look();
      expect(told).toEqual(['began orders psi', 'ended orders psi']);
    });

    it('compares two windows of days without one, and refuses what there is not', async () => {
      const day = (ago: number): string => new Date(world.clock.now() - ago * DAY_MS).toISOString().slice(0, 10);
      const moved = await drift('--feature', 'orders', '--from', `${day(30)}..${day(3)}`, '--to', day(0), '--json');
      expect(moved.code).toBe(1);
      expect(JSON.parse(moved.stdout)).toMatchObject({ features: [{ verdict: 'drifted', ks: 1, maxPsi: 0.25 }] });
      expect((await drift('--feature', 'orders', '--from', day(0), '--to', day(0))).code).toBe(0);
      expect((await drift('--from', '1999-01-01', '--to', day(0))).stderr).toContain('nothing to compare');
      expect((await drift('--feature', 'order')).stderr).toContain('did you mean orders?');
      expect((await drift('--from', 'monday')).stderr).toContain('2026-11-01');
      expect((await drift('--from', day(0), '--against', 'x')).stderr).toContain('cannot be used with');
    });
  });

  describe('in live traffic', () => {
    it('are followed as batches write them through, and a change is an alert from about when it began', async () => {
      const sample = new LiveSample(() => world.clock.now());
      const heard: string[] = [];
      let isFollowed = true;
      const live = new LiveDriftWatch({
        ...{ db: world.db, clock: world.clock, sample },
        definitions: async () => {
          const definitions = await world.engine.definitions.current();
          const view = definitions.views.get('test');
          const expect = isFollowed ? { orders: { steady_live: true }, mail: { steady_live: true } } : {};
          return { ...definitions, views: new Map(view === undefined ? [] : [['test', { ...view, expect }]]) };
        },
        observer: {
          violated: () => undefined,
          looked: () => undefined,
          began: ({ feature, kind }) => heard.push(`began ${feature} ${kind}`),
          ended: (feature, kind) => heard.push(`ended ${feature} ${kind}`),
        },
        onError: (error) => {
          throw error as Error;
        },
      });
      const buy = async (count: number): Promise<void> => {
        const before = world.batches.length;
        const everybody = Array.from({ length: 250 }, (_, n) => ({ user_id: `u${String(n)}` }));
        await world.accept(everybody.flatMap((who) => Array.from({ length: count }, () => aTrack('order', who))));
        await world.drain();
        const entries = world.batches.slice(before).flatMap(({ published = [] }) => published);
        for (const entry of entries) sample.offer([entry]);
        await live.look();
      };
      // The first are what the others are ranked by; with each look everybody has one order more at most.
      for (let look = 0; look < 3; look++) await buy(look === 0 ? 1 : 0).then(() => again());
      expect(heard).toEqual([]);
      world.clock.advance(HOUR_MS);
      const changedAt = world.clock.now();
      for (let look = 0; look < 2; look++) await buy(4);
      expect(heard).toEqual(['began orders steady_live']);
      const query = '{ featureAlerts(onlyOpen: true) { edges { node { feature kind since value } } } }';
      const { data } = await world.ask<{ featureAlerts: { edges: { node: { kind: string; since: string } }[] } }>(
        query,
      );
      const [alert] = (data?.featureAlerts.edges ?? []).filter(({ node }) => node.kind === 'STEADY_LIVE');
      expect(alert?.node).toMatchObject({ feature: 'orders' });
      // The oldest part of the window may have begun a look before.
      expect(changedAt - Date.parse(alert?.node.since ?? '')).toBeLessThanOrEqual(HOUR_MS);
      expect(Date.parse(alert?.node.since ?? '')).toBeLessThanOrEqual(changedAt);
      // The watch of days ends alerts of its own alone.
      world.clock.advance(HOUR_MS);
      await watch.look();
      await live.look();
      expect(heard).toHaveLength(1);
      isFollowed = false;
      world.clock.advance(HOUR_MS);
      await live.look();
      expect(heard.at(-1)).toBe('ended orders steady_live');

      /** Shows the same people once more, as other events of theirs would. */
      async function again(): Promise<void> {
        const shown = new Map(
          world.batches.flatMap(({ published = [] }) => published).map((entry) => [entry.key, entry]),
        );
        for (const entry of shown.values()) sample.offer([entry]);
        await live.look();
      }
    });

    it('leave out whom loaded history is about, and follow the others of its batch', async () => {
      const before = world.batches.length;
      const loaded = [1, 2, 3].map((n) => aTrack('order', { user_id: `loaded-${String(n)}` }));
      // A profile that ends within the batch: a later event says that this is somebody who was there before.
      const [visitor, known] = [{ anonymous_id: 'loaded-4' }, { user_id: 'known-1' }];
      await world.accept([aTrack('order', known)]);
      await world.accept([...loaded, aTrack('order', visitor)], { historical: true });
      await world.accept([aTrack('order', { ...visitor, ...known })]);
      await world.accept([aTrack('order', { user_id: 'live-1' })]);
      await world.drain();
      const sample = new LiveSample(() => world.clock.now());
      const batches = world.batches.slice(before).filter(({ events }) => events > 0);
      expect(batches.map(({ events }) => events)).toEqual([7]);
      const [live] = await world.db.query<{ id: string }>(
        'SELECT p.id FROM identifiers i JOIN profiles p ON p.id = i.profile_id WHERE i.value = $1',
        ['live-1'],
      );
      // A batch gives one of its profiles, whichever turn it is.
      for (const { published = [], loadedIds } of batches) {
        for (let turn = 0; turn < 2 * published.length; turn++) sample.offer(published, loadedIds);
      }
      const { profiles, missed } = sample.take();
      const ids = profiles.map(({ bytes }) => {
        const snapshot = unpackSnapshot(Buffer.from(bytes));
        return 'alias' in snapshot ? null : snapshot.profile.id;
      });
      expect(ids.length).toBeGreaterThan(0);
      expect(new Set(ids)).toEqual(new Set([live?.id]));
      expect(missed).toBe(0);
    });
  });
});
