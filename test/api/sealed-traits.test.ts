import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProfileExports } from '../../src/create-profile-exports.js';
import { Compactor } from '../../src/privacy/compactor.js';
import { RedisConnection } from '../../src/platform/redis.js';
import { RedisOnlineStore } from '../../src/profiles/online-store.redis.js';
import type { TraitDefinition } from '../../src/profiles/trait-definition.model.js';
import { DEFAULT_TRAIT_RULE } from '../../src/profiles/trait-rule.model.js';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { findInFiles } from '../support/find-in-files.js';
import { findTexts } from '../support/find-texts.js';
import { redisPrefix, redisUrl } from '../support/redis.js';
import { anIdentify, DAY_MS, MINUTE_MS } from '../support/world.js';

/** Each is found nowhere else. */
const PASSPORT = 'Canary-Passport-7a31';
const FORMER = 'canary-former-7a31';
const DISEASES = ['canary-disease-7a31', 'canary-other-7a31'];
const SALARY = 917331917;
const SECRETS = [PASSPORT, FORMER, ...DISEASES, String(SALARY)];

const UNION = { ...DEFAULT_TRAIT_RULE, survivorship: 'union' } as const;
const PLAIN: readonly TraitDefinition[] = [
  { name: 'passport', description: '', edge: false, searchable: true },
  { name: 'salary', description: '', edge: false },
  { name: 'diseases', description: '', edge: false, rule: UNION },
];
const SEALED = PLAIN.map(({ searchable: _, ...trait }) => ({ ...trait, sealed: true }));

describe.skipIf(redisUrl() === null)('a sealed trait', () => {
  const url = redisUrl() ?? '';
  const prefix = redisPrefix();
  let connection: RedisConnection;
  let world: ApiWorld;

  beforeAll(async () => {
    connection = await RedisConnection.open([url]);
    world = await createApiWorld({
      sealed: true,
      sharedStore: new RedisOnlineStore(connection, prefix),
      limits: { maxRefoldAnchors: 2, maxIndexedProfiles: 2 },
    });
    await world.accept([], { source: 'web' });
    // What is there before is plain.
    await world.engine.services.traits.apply(PLAIN);
    await world.accept([
      anIdentify({ user_id: 'anna', email: 'anna@example.org' }, { passport: FORMER, salary: SALARY, plan: 'gold' }),
      anIdentify({ user_id: 'bob' }, { passport: 'none', diseases: [DISEASES[1] ?? ''] }),
      ...[1, 2, 3].map((n) => anIdentify({ user_id: `other${String(n)}` }, { passport: `p${String(n)}` })),
    ]);
    world.clock.advance(MINUTE_MS);
    await world.accept([anIdentify({ email: 'anna@example.org' }, { passport: PASSPORT, diseases: DISEASES })]);
    await world.drain();
  });

  afterAll(async () => {
    expect(world.defects).toEqual([]);
    await world.close();
    await connection.close();
  });

  async function inRedis(): Promise<string[]> {
    const redis = new Redis(url);
    try {
      const keys = await redis.keys(`${prefix}*`);
      const blobs = await Promise.all(keys.map((key) => redis.getBuffer(key)));
      const all = Buffer.concat(blobs.filter((blob) => blob !== null));
      const packed = Buffer.alloc(4);
      packed.writeUInt32BE(SALARY);
      return SECRETS.filter((text) => all.includes(text === String(SALARY) ? packed : text));
    } finally {
      await redis.quit();
    }
  }

  /** But for the log, which has keys of its own. */
  const inTables = async (): Promise<string[]> => {
    await world.db.query('ANALYZE');
    return [...new Set((await findTexts(world.db, SECRETS)).map(({ text }) => text))];
  };

  const ANNA = 'identifier: { namespace: "user_id", value: "anna" }';
  const ask = async (key: string) => {
    const query = `{ profile(${ANNA}) { traits traitDetails { edges { node { name value } } } } }`;
    const { data, errors } = await world.ask<{
      profile: {
        traits: Record<string, unknown>;
        traitDetails: { edges: { node: { name: string; value: unknown } }[] };
      };
    }>(query, {}, { key });
    expect(errors).toBeUndefined();
    const { traits, traitDetails } = data?.profile ?? { traits: {}, traitDetails: { edges: [] } };
    const details = Object.fromEntries(traitDetails.edges.map(({ node }) => [node.name, node.value]));
    expect(details).toEqual(traits);
    return traits;
  };

  const find = async (trait: string, key = world.keys.pii) => {
    const { data, errors } = await world.ask<{ profiles: { edges: { node: { id: string } }[] } }>(
      `{ profiles(filter: { trait: { ${trait} } }) { edges { node { id } } } }`,
      {},
      { key },
    );
    return { found: data?.profiles.edges.length, errors };
  };

  const VALUES = { passport: PASSPORT, salary: SALARY, diseases: [DISEASES[1], DISEASES[0]].sort(), plan: 'gold' };
  const shown = async (key: string) => {
    const traits = await ask(key);
    return { ...traits, diseases: [...((traits['diseases'] ?? []) as string[])].sort() };
  };

  it('is in plain text everywhere as long as it is not sealed', async () => {
    expect((await inTables()).sort()).toEqual([...SECRETS].sort());
    expect((await inRedis()).sort()).toEqual(SECRETS.filter((text) => text !== FORMER).sort());
    expect(await shown(world.keys.pii)).toEqual({ ...VALUES, diseases: [...DISEASES].sort() });
  });

  it('is in no table, index, statistic or copy once workers have sealed what was there', async () => {
    await world.engine.services.traits.apply(SEALED);
    await world.drain();
    expect(await inTables()).toEqual([]);
    expect(await inRedis()).toEqual([]);
    const rows = await world.db.query(
      'SELECT finished_at IS NULL AS "isOpen", resealed FROM trait_rule_changes WHERE resealed <> $1',
      ['{}'],
    );
    expect(rows).toEqual([{ isOpen: false, resealed: ['diseases', 'passport', 'salary'] }]);
  });

  it('is in no file of the database once the tables were written anew, which waits for that as for an erasure', async () => {
    const { db, clock, vault } = world;
    await db.query('CHECKPOINT');
    expect(await findInFiles(db, SECRETS)).toContain(PASSPORT);
    const compactor = new Compactor({ db, clock, sleep, vault, backupHorizonMs: DAY_MS });
    expect(await compactor.waitingSince()).toBe(clock.now());
    expect(await compactor.run()).toEqual({ compacted: 0, physical: 0, sealed: 1 });
    await db.query('CHECKPOINT');
    expect(await findInFiles(db, SECRETS)).toEqual([]);
    expect(await compactor.waitingSince()).toBeNull();
  });

  it('is sealed also as it comes, and most recent and united as ever', async () => {
    world.clock.advance(MINUTE_MS);
    await world.accept([anIdentify({ user_id: 'bob' }, { passport: FORMER, diseases: DISEASES })]);
    await world.drain();
    expect(await inTables()).toEqual([]);
    expect(await inRedis()).toEqual([]);
  });

  it('is opened for keys with pii, and shows the others no more than its type', async () => {
    expect(await shown(world.keys.pii)).toEqual({ ...VALUES, diseases: [...DISEASES].sort() });
    expect(await shown(world.keys.admin)).toEqual({ ...VALUES, diseases: [...DISEASES].sort() });
    expect(await ask(world.keys.read)).toEqual({
      passport: '***',
      salary: null,
      diseases: ['***', '***'],
      plan: 'gold',
    });
  });

  it('is told in histories, which are of what was sent, by its type as well', async () => {
    const query = `{ profile(${ANNA}) { traitDetails { edges { node { name history(first: 9) { edges { node { value } } } } } } } }`;
    interface Detail {
      readonly node: { readonly name: string; readonly history: { readonly edges: { node: { value: unknown } }[] } };
    }
    const { data } = await world.ask<{ profile: { traitDetails: { edges: Detail[] } } }>(
      query,
      {},
      { key: world.keys.read },
    );
    const details = data?.profile.traitDetails.edges.map(({ node }) => node) ?? [];
    const said = details.find(({ name }) => name === 'passport')?.history.edges.map(({ node }) => node.value);
    expect(new Set(said)).toEqual(new Set(['***']));
  });

  it('is in the export of a person', async () => {
    const { db, clock, engine } = world;
    const [anna] = await db.query<{ id: string }>(`SELECT profile_id AS id FROM identifiers WHERE value = 'anna'`);
    const exports = createProfileExports({ db, clock, log: engine.log, definitions: engine.definitions });
    const opened = await exports.open(anna?.id ?? '');
    let text = '';
    for await (const chunk of opened?.chunks ?? []) text += chunk;
    const { traits } = JSON.parse(text) as { traits: { name: string; value: unknown }[] };
    expect(traits.find(({ name }) => name === 'passport')?.value).toBe(PASSPORT);
    expect(traits.find(({ name }) => name === 'salary')?.value).toBe(SALARY);
  });

  it('finds people by equality, without regard to case, and refuses all else with what to do', async () => {
    expect(await find(`name: "passport", eq: "${PASSPORT.toUpperCase()}"`)).toEqual({ found: 1 });
    expect(await find(`name: "passport", in: ["${FORMER}", "p2", "p4"]`)).toEqual({ found: 2 });
    expect(await find(`name: "salary", eq: ${String(SALARY)}`)).toEqual({ found: 1 });
    expect(await find(`name: "salary", eq: "${String(SALARY)}"`)).toEqual({ found: 0 });
    expect(await find('name: "salary", exists: true')).toEqual({ found: 1 });
    expect(await find('name: "passport", exists: false')).toEqual({ found: 0 });
    for (const asked of ['prefix: "c"', 'contains: "c"', 'gt: 1', 'gte: 1', 'lt: 1', 'lte: 1']) {
      const { errors } = await find(`name: "salary", ${asked}`);
      expect(errors?.[0]).toMatchObject({
        message: 'the trait salary is sealed',
        extensions: { hint: expect.stringContaining('eq, in or exists') as string },
      });
    }
    const ordered = await world.ask('{ profiles(orderBy: { by: TRAIT, trait: "salary" }) { edges { node { id } } } }');
    expect(ordered.errors?.[0]?.message).toBe('the trait salary is sealed');
    expect((await find(`name: "passport", eq: "p1"`, world.keys.read)).errors?.[0]?.message).toContain('personal data');
  });

  it('is read by no segment, feature or table of people', async () => {
    const { services } = world.engine;
    const draft = { name: 'rich', description: '', tags: [], purposes: [] };
    const keys = ['traits.salary > 3', 'has(traits.salary)', 'sum("signup", "traits.salary") > 3'];
    for (const [i, expression] of keys.entries()) {
      const upsert = services.segments.upsert({ ...draft, key: `rich${String(i)}`, expression });
      await expect(upsert).rejects.toMatchObject({ message: 'traits.salary is sealed' });
    }
    const feature = aFeature('pay', { aggregate: 'last', value: 'traits.salary', type: 'double' });
    await expect(world.defineFeatures([feature])).rejects.toThrow('reads traits.salary, which is sealed');
  });

  it('cannot be what something reads already, nor what orders or shows its values', async () => {
    const { traits } = world.engine.services;
    await world.defineSegment('golden', 'traits.plan == "gold"');
    const one = { name: 'plan', description: '', edge: false, sealed: true };
    await expect(traits.apply([one])).rejects.toThrow('cannot be sealed while segment golden reads it');
    const others = [
      { searchable: true },
      { edge: true },
      { rule: { ...DEFAULT_TRAIT_RULE, survivorship: 'max' as const } },
    ];
    for (const other of others) {
      await expect(traits.apply([{ ...one, name: 'size', ...other }])).rejects.toThrow('the trait size is sealed and');
    }
  });

  it('is gone with the person, and open again once it is not sealed any more', async () => {
    const { engine, db } = world;
    const [bob] = await db.query<{ id: string }>(`SELECT profile_id AS id FROM identifiers WHERE value = 'bob'`);
    await engine.erasures.request({ profileId: bob?.id ?? '' }, { reason: 'asked', actor: 'test' });
    await world.drain();
    expect(await find(`name: "passport", eq: "${FORMER}"`)).toEqual({ found: 0 });
    await engine.services.traits.apply(PLAIN);
    await world.drain();
    expect((await inTables()).sort()).toEqual([...SECRETS].sort());
    expect(
      JSON.stringify(
        await db.query('SELECT convert_from(substr(traits, 2), $1) FROM anchor_states WHERE length(traits) > 0', [
          'UTF8',
        ]),
      ),
    ).not.toContain('$sealed');
    expect(await shown(world.keys.pii)).toEqual({ ...VALUES, diseases: [...DISEASES].sort() });
    expect((await find('name: "passport", prefix: "canary"')).found).toBe(1);
  });
});
