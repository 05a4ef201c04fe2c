import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseFeatures } from '../../src/features/parse-features.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { drainUntil } from '../support/drain-until.js';
import { aTrack } from '../support/world.js';

/* Feast's own client, where there is a Python with Feast: WEFT_TEST_FEAST_PYTHON=/path/to/venv/bin/python. */

const PYTHON = process.env['WEFT_TEST_FEAST_PYTHON'];
const SCRIPT = new URL('../fixtures/feast/use_features.py', import.meta.url).pathname;
const TIMEOUT_MS = 120_000;
const VIEWS = `views:
  - name: customer
    kind: batch
    source: crm
    event: customer
    ttl: 2d
    features:
      - { name: tier, value: properties.tier }
      - { name: credit, value: properties.credit, type: double }
      - { name: joined, value: properties.joined, type: timestamp }
  - name: shop
    features:
      - { name: views_1h, aggregate: count, events: [product_view], window: 1h }
      - { name: last_views, aggregate: times, events: [product_view], limit: 2 }
services:
  - { name: intent, features: [views_1h, tier] }
`;

interface Read {
  readonly listed: Readonly<Record<string, unknown>>;
  readonly service: Readonly<Record<string, unknown>>;
  readonly view: readonly [string, string];
  readonly written: Readonly<Record<string, unknown>>;
  readonly read: readonly [string, Readonly<Record<string, string>>];
}

describe.skipIf(PYTHON === undefined)('Feast’s own client, with a remote online store', () => {
  let world: ApiWorld;
  let read: Read;
  let seconds: number;

  beforeAll(async () => {
    world = await createApiWorld();
    await world.accept([], { source: 'crm' });
    await world.engine.services.features.apply(parseFeatures(VIEWS, 'f.yaml'));
    const ann = { user_id: 'ann' };
    seconds = Math.floor(world.clock.now() / 1_000);
    await world.accept([aTrack('product_view', ann), aTrack('product_view', ann)]);
    const properties = { tier: 'gold', credit: 2, joined: '2026-01-02T00:00:00Z' };
    await world.accept([aTrack('customer', ann, { properties })], { source: 'crm' });
    const ask = '{ onlineFeatures(entities: [{ namespace: "user_id", value: "ann" }]) { features { complete } } }';
    let isComplete = false;
    while (!isComplete) {
      await world.drain();
      world.clock.advance(1);
      isComplete = !JSON.stringify(await world.data(ask)).includes('"complete":false');
    }
    const crm = await world.services.sources.findByKey('crm');
    const { secret } = await world.services.keys.create({
      name: 'feast',
      scopes: ['read', 'pii', 'ingest'],
      sourceId: crm?.id ?? 0,
    });
    const url = world.url.replace('//', `//${secret}:@`);
    const at = new Date(world.clock.now() - 60_000).toISOString().replace('Z', '+00:00');
    const script = promisify(execFile)(PYTHON ?? '', [SCRIPT, url, at], { timeout: TIMEOUT_MS });
    const { stdout } = await drainUntil(world, script);
    read = JSON.parse(stdout.slice(stdout.lastIndexOf('\n{') + 1)) as Read;
  }, TIMEOUT_MS);
  afterAll(() => world.close());

  it('reads features of all types, and what is not there as None', () => {
    expect(read.listed).toEqual({
      user_id: ['ann', 'nobody'],
      tier: ['gold', null],
      credit: [2, null],
      joined: [1_767_312_000, null],
      views_1h: [2, null],
      last_views: [[seconds, seconds], null],
    });
  });

  it('reads a service, by full names', () => {
    expect(read.service).toEqual({
      user_id: ['ann', 'nobody'],
      shop__views_1h: [2, null],
      customer__tier: ['gold', null],
    });
  });

  it('raises its own exception, with our hint', () => {
    expect(read.view[0]).toBe('FeatureViewNotFoundException');
    expect(read.view[1]).toContain('did you mean customer?');
  });

  it('writes rows, and reads them', () => {
    expect(read.written).toEqual({
      user_id: ['bob', 'cat'],
      tier: ['silver', null],
      credit: [3, 4.25],
      joined: [1_767_312_000, null],
    });
    const [time, values] = read.read;
    expect(Math.abs(Date.parse(time) - (seconds * 1_000 - 60_000))).toBeLessThan(60_000);
    expect(values).toEqual({
      tier: 'string_val: "silver"',
      credit: 'double_val: 3',
      joined: 'unix_timestamp_val: 1767312000',
    });
  });
});
