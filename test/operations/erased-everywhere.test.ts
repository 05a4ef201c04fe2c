import { createHmac } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnchoredPayload } from '../../src/events/event-seal.model.js';
import { readLinkageModel, writeLinkageModel } from '../../src/identity/linkage/read-linkage-model.js';
import { DEFAULT_TRAINING, trainLinkage } from '../../src/identity/linkage/train-linkage.js';
import { systemClock } from '../../src/platform/clock.js';
import { hashId } from '../../src/platform/ids.js';
import { RootSecret } from '../../src/platform/installation-secret.js';
import type { Queryable } from '../../src/platform/postgres.js';
import { Compactor } from '../../src/privacy/compactor.js';
import { KeyVault } from '../../src/privacy/key-vault.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { findInRedis } from '../support/find-in-redis.js';
import { findTexts } from '../support/find-texts.js';
import { openCopies } from '../support/open-copies.js';
import { canStartRedis, startRedisServer, type RedisServer } from '../support/redis-server.js';
import { serveWeft, type ServedWeft } from '../support/served-weft.js';

/*
 * One person, whose every text is found nowhere else, who comes in by the doors as they are used: a file by the command, a
 * webhook by a signed request, tracking calls; with Redis as the online store, a database for keys, a model of record
 * linkage that was trained on her, and Bob, who lives in her town.
 */
const NAME = 'canary-name-77aa';
const ANNA = {
  crm_id: 'canary-crm-77aa',
  email: 'canary.mail.77aa@example.org',
  anonymous_id: 'canary-cookie-77aa',
  user_id: 'canary-user-77aa',
  /** Blocked after it came. */
  loyalty_card: 'canary-card-77aa',
  /** Blocked after it came, and let go of. */
  coupon: 'canary-coupon-77aa',
};
const SECRETS = [
  ...Object.values(ANNA),
  NAME,
  'canary-page-77aa',
  'canary-item-77aa',
  'canary-kept-77aa',
  'canary-campaign-77aa',
  'canary-review-77aa',
  'canary-words-77aa',
  'canary-letter-77aa',
];
const IDS = Object.entries(ANNA).map(([ns, value]) => hashId(ns, value));

const PEOPLE_YAML = `
source: crm
format: csv
key: '{id}'
time: { column: since, format: 'yyyy-MM-dd' }
identifiers: { crm_id: id, email: mail, loyalty_card: card, coupon: coupon }
event: { type: identify }
traits: { name: name, town: town }
`;
const REVIEWS_YAML = `
source: reviews
format: jsonl
key: '{id}'
time: { column: created, format: epoch_s }
identifiers: { email: customer }
event: { type: track, name: Review Posted }
properties: { text: comment }
`;
/** What is found out about her calls stands in a state of hers and of the items that she alone looked at. */
const FEATURES_YAML = `
entities: [{ name: article, join_key: article_id }]
views:
  - name: visits
    features:
      - { name: last_campaign, aggregate: last, value: context.enriched.campaign.name }
  - name: article_visits
    entity: article
    key: properties.article
    features:
      - { name: article_campaign, aggregate: last, value: context.enriched.campaign.name }
`;
const WEBHOOK_SECRET = 'shared with the review tool';
const SETTINGS = {
  format: 'weft-linkage-1',
  comparisons: ['name', 'town'].map((name) => ({
    name,
    levels: [
      { when: `${name}_l = ${name}_r`, termFrequency: { column: name }, m: 0.9, u: 0.1 },
      { when: 'ELSE', m: 0.1, u: 0.9 },
    ],
  })),
  blocking: [{ on: ['town'] }],
  training: { passes: [{ on: ['town'] }] },
};

describe.skipIf(!(await canStartRedis()))('a person who is erased from a whole installation', () => {
  let folder: string;
  let redis: RedisServer | null;
  let client: Redis;
  let keys: TestDatabase;
  let weft: ServedWeft;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'weft-erased-'));
    await mkdir(join(folder, 'data'));
    redis = await startRedisServer(folder);
    client = new Redis(redis?.url ?? '');
    keys = await createTestDatabase({ empty: true });
    weft = await serveWeft(redis?.url, {
      WEFT_KEYS_DATABASE_URL: keys.url,
      WEFT_DATA_DIR: join(folder, 'data'),
    });
  }, 180_000);

  afterAll(async () => {
    await weft.close();
    client.disconnect();
    await redis?.stop();
    await keys.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };

  const call = async (path: string, body: object): Promise<void> => {
    const headers = { authorization: `Bearer ${weft.writeKey}`, 'content-type': 'application/json' };
    const response = await fetch(`${weft.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(response.status).toBe(200);
  };

  /** Everybody who is compared is known as of now. */
  const isMatched = async (people: number): Promise<void> => {
    const matched = async () =>
      (await weft.ask<{ identityMatching: object }>('{ identityMatching { phase records waiting } }')).identityMatching;
    await expect.poll(matched, POLLING).toEqual({ phase: 'LIVE', records: people, waiting: 0 });
  };

  /** What a source finds out about events, and features of it. */
  const enrich = async (): Promise<void> => {
    const { updateSource, applyFeatures } = await weft.ask<Record<string, object>>(
      `mutation ($yaml: String!) {
        updateSource(key: "web", enrichment: { facts: [DEVICE, REFERRER] }) { __typename }
        applyFeatures(yaml: $yaml) { __typename } }`,
      { yaml: FEATURES_YAML },
    );
    expect([updateSource, applyFeatures]).toEqual([{ __typename: 'Source' }, { __typename: 'FeaturePlan' }]);
  };

  const track = async (): Promise<void> => {
    const { anonymous_id: anonymousId, user_id: userId, email } = ANNA;
    const context = { page: { url: 'https://shop.example.org/?utm_campaign=canary-campaign-77aa' } };
    const properties = { path: 'canary-page-77aa', article: 'canary-item-77aa' };
    await call('/v1/page', { anonymousId, name: 'home', properties, context });
    const old = { ...properties, article: 'canary-kept-77aa' };
    const timestamp = new Date(systemClock.now() - 40 * 86_400_000).toISOString();
    await call('/v1/page', { anonymousId, name: 'home', properties: old, context, timestamp });
    await call('/v1/identify', { anonymousId, userId, traits: { email, name: NAME, town: 'Hull' } });
    await call('/v1/identify', { userId: 'bob', traits: { name: 'bob', town: 'Hull' } });
    await call('/v1/batch', { batch: [{ type: 'track', userId, messageId: 'canary-letter-77aa' }] });
  };

  /** What is old leaves the log, and what came of it stays. */
  const age = async (): Promise<void> => {
    const folded = () => weft.database.query(`SELECT FROM entity_states WHERE key = 'canary-kept-77aa'`);
    await expect.poll(folded, POLLING).toHaveLength(1);
    await weft.run('sources', 'update', 'web', '--retention', '30d');
  };

  const hasAged = async (): Promise<void> => {
    const removed = () => weft.database.query('SELECT removed_events AS n FROM source_retention');
    await expect.poll(removed, POLLING).toEqual([{ n: 1 }]);
  };

  const load = async (): Promise<void> => {
    const { crm_id, email, loyalty_card, coupon } = ANNA;
    const rows = `id,mail,name,town,since,card,coupon\n${crm_id},${email},${NAME},Hull,2024-01-31,${loyalty_card},${coupon}\n`;
    const mapping = await file('people.yaml', PEOPLE_YAML);
    await weft.run('load', await file('people.csv', rows), '--mapping', mapping);
  };

  /** By patterns: rules keep what is written in them. */
  const block = async (...patterns: string[]): Promise<void> => {
    const text = JSON.stringify({ identity: { blocked: { patterns } } });
    await weft.run('apply', await file('identity.yaml', text), '--re-resolve', '--yes');
  };

  const deliver = async (): Promise<void> => {
    const webhook = {
      ...{ key: 'reviews', adapter: 'JSON', secret: WEBHOOK_SECRET },
      options: { mapping: REVIEWS_YAML, items: 'items', textProperty: 'text' },
      signature: { header: 'x-signature' },
    };
    const { createWebhook } = await weft.ask<{ createWebhook: object }>(
      `mutation ($webhook: WebhookInput!) { createWebhook(webhook: $webhook) { __typename ... on Failure { message } } }`,
      { webhook },
    );
    expect(createWebhook).toEqual({ __typename: 'CreatedWebhook' });
    const items = [
      { id: 'canary-review-77aa', created: 1_706_000_000, customer: ANNA.email, comment: 'canary-words-77aa: lovely' },
      { id: 'of bob', created: 1_706_000_000, customer: 'bob@example.org', comment: 'fine' },
    ];
    const body = JSON.stringify({ items });
    const signature = createHmac('sha256', WEBHOOK_SECRET).update(body).digest('hex');
    const headers = { 'content-type': 'application/json', 'x-signature': signature };
    const response = await fetch(`${weft.url}/v1/webhooks/reviews`, { method: 'POST', headers, body });
    expect(await response.json()).toMatchObject({ accepted: 2 });
  };

  const compare = async (): Promise<void> => {
    const names = [NAME, NAME, NAME, 'bob', 'bob'];
    const records = names.map((name, i) => ({ id: String(i), values: { name, town: 'Hull' } }));
    const model = await trainLinkage(readLinkageModel(JSON.stringify(SETTINGS), 'settings'), records, DEFAULT_TRAINING);
    expect([...(model.termFrequencies.get('name')?.counts.keys() ?? [])]).toContain(NAME);
    await weft.run('identity', 'models', 'add', await file('model.json', writeLinkageModel(model)), '--name', 'people');
    await weft.run('identity', 'models', 'activate', model.version);
  };

  const inRedis = (): Promise<string[]> => findInRedis(client, '', [...SECRETS, ...IDS]);

  /** In the files of the data folder, and in those of the tables and indexes of both databases. */
  const inFiles = async (): Promise<string[]> => {
    const texts = new Set<string>();
    const folders = [join(folder, 'data')];
    for (const db of [weft.database, keys.database]) {
      await db.query('CHECKPOINT');
      const [place] = await db.query<{ folder: string }>(
        `SELECT current_setting('data_directory') || '/base/' || oid AS folder FROM pg_database
         WHERE datname = current_database()`,
      );
      folders.push(place?.folder ?? '');
    }
    for (const each of folders) {
      const entries = await readdir(each, { recursive: true, withFileTypes: true });
      for (const entry of entries.filter((one) => one.isFile())) {
        const bytes = await readFile(join(entry.parentPath, entry.name)).catch(() => Buffer.alloc(0));
        for (const text of found(bytes.toString('latin1'), SECRETS)) texts.add(text);
      }
    }
    return [...texts];
  };

  const vaultOf = (): KeyVault => new KeyVault(keys.database, new RootSecret(Buffer.from(weft.secret)));

  /** What of some sealed rows can be opened with the keys that are left. */
  const opened = (rows: readonly AnchoredPayload[]): Promise<string[]> =>
    openCopies(keys.database, new RootSecret(Buffer.from(weft.secret)), rows);

  it('is in no table, index, statistic, file, key, letter, feed or model of it, and no copy can be read', async () => {
    await weft.defineEdgeSegment('reviewers', 'performed("Review Posted")');
    await enrich();
    await track();
    await age();
    await load();
    await block('canary-card-.*', 'canary-coupon-.*');
    await block('canary-card-.*');
    await deliver();
    await compare();
    await isMatched(2);
    const member = `{ profile(identifier: { namespace: "email", value: "${ANNA.email}" }) { id segments { segment { key } } } }`;
    const her = async () => (await weft.ask<{ profile: { id: string; segments: object[] } | null }>(member)).profile;
    await expect.poll(her, POLLING).toMatchObject({ segments: [{ segment: { key: 'reviewers' } }] });

    await hasAged();
    // All that is planted is there before, or its absence afterwards would say nothing.
    const copies = [...(await copiesOf(weft.database)), ...(await lettersOf(weft.database))];
    const before = await findTexts(weft.database, [...SECRETS, ...IDS]);
    const readable = (await opened(copies)).join('\n');
    const said = [...before.map(({ text }) => text), ...found(readable, SECRETS), ...(await inRedis())];
    expect([...SECRETS, ...IDS].filter((text) => !said.includes(text))).toEqual([]);
    const foundOut = before.filter(({ text }) => text === 'canary-campaign-77aa').map(({ place }) => place);
    expect(foundOut).toEqual(expect.arrayContaining(['public.anchor_states', 'public.entity_states']));
    const ofHers = before.filter(({ text }) => IDS.includes(text)).map(({ place }) => place);
    const tables = ['identifiers', 'matching_members', 'evidence', 'generic_values', 'generic_mentions'];
    for (const table of [...tables, 'removed_entity_events']) expect(ofHers).toContain(`public.${table}`);
    expect(await inRedis()).not.toEqual([]);
    expect(await inFiles()).toContain(ANNA.email);
    const { profile } = await weft.ask<{ profile: { id: string } }>(member);
    expect(await feedOf(weft.database, profile.id)).toEqual(['enter']);

    const { eraseProfile } = await weft.ask<{ eraseProfile: { id: string } }>(
      `mutation ($input: EraseProfileInput!) { eraseProfile(input: $input) {
        ... on ErasureReceipt { id } ... on Failure { message } } }`,
      { input: { identifier: { namespace: 'email', value: ANNA.email }, reason: 'she asked for it' } },
    );
    const receipt = async () =>
      weft.ask<object>('query ($id: ID!) { erasureReceipt(id: $id) { status letters } }', { id: eraseProfile.id });
    await expect.poll(receipt, POLLING).toEqual({ erasureReceipt: { status: 'LOGICAL', letters: 1 } });
    await isMatched(1);
    await weft.database.query('ANALYZE');
    // Of whom it has written through a worker keeps a record until it next looks, within seconds.
    await expect.poll(() => weft.database.query('SELECT FROM publications'), POLLING).toEqual([]);
    const vault = vaultOf();
    const backupHorizonMs = 86_400_000;
    await new Compactor({ db: weft.database, clock: systemClock, sleep, vault, backupHorizonMs }).run();

    expect(await findTexts(weft.database, [...SECRETS, ...IDS])).toEqual([]);
    expect(await inRedis()).toEqual([]);
    expect(await inFiles()).toEqual([]);
    const kept = await keys.database.query<{ row: string }>('SELECT k::text AS row FROM sealing_keys k');
    expect(found(kept.map(({ row }) => row).join('\n'), IDS)).toEqual([]);
    // What is left of the copies is Bob's: his call, his review.
    const left = await opened(copies);
    expect(left).toHaveLength(2);
    for (const text of left) expect(text).toMatch(/"bob"|bob@example\.org/);
    expect(await feedOf(weft.database, profile.id)).toEqual(['enter', 'leave']);
    expect(await her()).toBeNull();
  }, 300_000);
});

/** However busy the machine is. */
const POLLING = { timeout: 90_000, interval: 200 };

function found(text: string, texts: readonly string[]): string[] {
  const folded = text.toLowerCase();
  return texts.filter((each) => folded.includes(each.toLowerCase()));
}

async function copiesOf(db: Queryable): Promise<AnchoredPayload[]> {
  return db.query<AnchoredPayload>('SELECT anchor_id, payload FROM event_log');
}

async function lettersOf(db: Queryable): Promise<AnchoredPayload[]> {
  return db.query<AnchoredPayload>('SELECT seal_id AS anchor_id, payload FROM dead_letters');
}

/** What the feed tells of a profile, in order. */
async function feedOf(db: Queryable, profileId: string): Promise<string[]> {
  const rows = await db.query<{ kind: string }>('SELECT kind FROM changes WHERE profile_id = $1 ORDER BY seq', [
    profileId,
  ]);
  return rows.map(({ kind }) => kind);
}
