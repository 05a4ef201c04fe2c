import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { checkErasures } from '../../src/monitoring/check-erasures.js';
import { addEraseCommand } from '../../src/privacy/erase.command.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { IncomingEvent } from '../../src/events/event.model.js';
import type { AnchoredPayload } from '../../src/events/event-seal.model.js';
import { dedupeIdOf } from '../../src/events/event.model.js';
import { readLinkageModel, writeLinkageModel } from '../../src/identity/linkage/read-linkage-model.js';
import { DEFAULT_TRAINING, trainLinkage } from '../../src/identity/linkage/train-linkage.js';
import { hashId } from '../../src/platform/ids.js';
import { Compactor } from '../../src/privacy/compactor.js';
import { ErasureLedger } from '../../src/privacy/erasure-ledger.js';
import { deliveryPurpose } from '../../src/sources/webhooks/open-webhook.js';
import { aFeature } from '../support/a-feature.js';
import { findInFiles } from '../support/find-in-files.js';
import { findTexts } from '../support/find-texts.js';
import { openCopies } from '../support/open-copies.js';
import { activate } from '../support/matching-world.js';
import { knownOf, strays } from '../support/retraction-builders.js';
import { aTrack, anIdentify, createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS, type World } from '../support/world.js';

/*
 * One person, whose every text is found nowhere else: she comes in by every door, is merged with visitors that she was
 * before, and shares an address with somebody else.
 */
const ANNA = {
  user_id: 'canary-user-51f3',
  email: 'canary.mail.51f3@example.org',
  anonymous_id: 'canary-cookie-51f3',
  phone: '+14155550151',
};
const OLD_COOKIE = 'canary-oldcookie-51f3';
const DECIDED_COOKIE = 'canary-decided-51f3';
const SECRETS = [
  DECIDED_COOKIE,
  'canary-why-51f3',
  ...Object.values(ANNA),
  OLD_COOKIE,
  'canary-name-51f3',
  'canary-page-51f3',
  'canary-message-51f3',
  'canary-words-51f3',
  'canary-agent-51f3',
  'canary-group-51f3',
  'canary-motto-51f3',
  'canary-letter-51f3',
];
const IDS = [...Object.entries(ANNA), ['anonymous_id', OLD_COOKIE] as const].map(([ns, value]) => hashId(ns, value));
const BOB = { user_id: 'bob' };
/** By which whoever lives in one town may be one person. */
const TOWNS = readLinkageModel(
  JSON.stringify({
    format: 'weft-linkage-1',
    prior: 0.3,
    comparisons: ['town', 'name'].map((name) => ({
      name,
      levels: [
        { when: `${name}_l IS NULL OR ${name}_r IS NULL`, isNull: true },
        { when: `${name}_l = ${name}_r`, m: 0.9, u: 0.3 },
        { when: 'ELSE', m: 0.1, u: 0.7 },
      ],
    })),
    blocking: [{ on: ['town'] }],
  }),
  'towns',
);

/** Trained on a file that has her three times. */
const NAMES = readLinkageModel(
  JSON.stringify({
    format: 'weft-linkage-1',
    comparisons: [
      {
        name: 'name',
        levels: [{ when: 'name_l = name_r', m: 0.9, u: 0.1, termFrequency: { column: 'name' } }, { when: 'ELSE' }],
      },
    ],
    blocking: [{ on: ['name'] }],
    training: { passes: [{ on: ['town'] }] },
  }),
  'names',
);
const FILE = ['canary-name-51f3', 'canary-name-51f3', 'canary-name-51f3', 'bob', 'bob'].map((name, i) => ({
  id: String(i),
  values: { name, town: 'Hull' },
}));

describe('a person who is erased', () => {
  const worlds: World[] = [];
  let world: World;

  beforeEach(async () => {
    world = await newWorld();
  });

  afterEach(async () => {
    await Promise.all(worlds.splice(0).map((each) => each.close()));
  });

  async function newWorld(): Promise<World> {
    const created = await createWorld(START_MS, {
      sealed: true,
      limits: { maxRetractionEvents: 3 },
      observers: {
        retrying: (error) => {
          throw error as Error;
        },
      },
    });
    worlds.push(created);
    await created.accept([], { source: 'web' });
    await created.accept([], { source: 'crm' });
    await created.defineFeatures([
      aFeature('views', { events: ['view'], windowMs: HOUR_MS }),
      aFeature('last_page', {
        aggregate: 'last',
        events: ['view'],
        value: 'properties.page',
        type: 'string',
        searchable: true,
      }),
    ]);
    await created.engine.services.traits.apply(
      ['name', 'phone', 'mail'].map((name) => ({ name, description: '', edge: false, searchable: true })),
    );
    await created.defineSegment('keen', 'count("view", "1h") >= 1');
    await created.defineSegment('no_cart', '!performed("cart")');
    await activate(created, TOWNS, { name: { kind: 'trait', name: 'name' }, town: { kind: 'trait', name: 'town' } });
    await created.drain();
    return created;
  }

  const hers = (): IncomingEvent[] => [
    aTrack('view', { anonymous_id: OLD_COOKIE }, { properties: { page: 'canary-page-51f3' } }),
    aTrack('view', { anonymous_id: ANNA.anonymous_id }, { messageId: 'canary-message-51f3' }),
    anIdentify(ANNA, { name: 'canary-name-51f3', town: 'Hull', address: { of: ANNA.email } }),
    anIdentify({ user_id: ANNA.user_id, anonymous_id: OLD_COOKIE }, { phone: ANNA.phone }),
    aTrack('view', { user_id: ANNA.user_id }, { context: { userAgent: 'canary-agent-51f3' } }),
    aTrack('mention', { user_id: ANNA.user_id }, { properties: { $private: { text: 'canary-words-51f3' } } }),
    {
      type: 'group',
      identifiers: [{ ns: 'user_id', value: ANNA.user_id }],
      groupId: 'canary-group-51f3',
      traits: { motto: 'canary-motto-51f3' },
    },
  ];
  /** Bob gives her address for his, and cannot have it: she was there first. */
  const bobs = (email: readonly string[]): IncomingEvent[] => [
    aTrack('view', BOB, { messageId: 'b1', properties: { page: 'home' } }),
    anIdentify(
      email[0] === undefined ? BOB : { ...BOB, email: email[0] },
      { town: 'Hull', ...(email[0] === undefined ? {} : { mail: 'CANARY.mail.51F3@example.org' }) },
      {
        messageId: 'b2',
      },
    ),
    aTrack('cart', BOB, { messageId: 'b3' }),
  ];
  const refused: IncomingEvent = {
    type: 'track',
    messageId: 'canary-letter-51f3',
    identifiers: [{ ns: 'email', value: ANNA.email.toUpperCase() }],
  };

  async function live(on: World, steps: readonly (readonly IncomingEvent[])[]): Promise<void> {
    for (const events of steps) {
      on.clock.advance(MINUTE_MS);
      await on.accept(events);
      await on.drain();
    }
  }

  /** Models that have her in what they count: one as it is stored now, and one as it was before values were hashed. */
  const addModels = async (): Promise<void> => {
    const trained = await trainLinkage(NAMES, FILE, DEFAULT_TRAINING);
    const text = writeLinkageModel(trained);
    expect(text).toContain('canary-name-51f3');
    const { models } = world.engine.matching;
    await models.add({ text, file: 'names.json', name: 'names' }, 'test');
    expect(await findTexts(world.db, ['canary-name-51f3'])).not.toContainEqual(
      expect.objectContaining({ place: 'public.linkage_models' }),
    );
    const { version } = await models.add(
      { text: writeLinkageModel({ ...trained, prior: 0.2 }), file: 'old.json', name: 'old' },
      'test',
    );
    const old = writeLinkageModel({ ...trained, prior: 0.2 });
    await world.db.query('UPDATE linkage_models SET content = $2, has_plain_terms = true WHERE version = $1', [
      version,
      old,
    ]);
  };

  const plainModels = async (): Promise<number> =>
    (await world.db.query('SELECT FROM linkage_models WHERE has_plain_terms')).length;

  const profileOf = async (ns: string, value: string): Promise<string> => {
    const [row] = await world.db.query<{ id: string }>('SELECT profile_id AS id FROM identifiers WHERE id = $1', [
      hashId(ns, value),
    ]);
    return row?.id ?? '';
  };

  /** By hand: another cookie is hers, too, whether it was seen or not. */
  const decide = async () => {
    const identifiers = [
      { ns: 'user_id', value: ANNA.user_id },
      { ns: 'anonymous_id', value: DECIDED_COOKIE },
    ];
    await world.accept([aTrack('view', { anonymous_id: DECIDED_COOKIE })]);
    await world.engine.identity.revisions.request(
      { kind: 'merge', input: { identifiers } },
      { actor: 'test', reason: 'canary-why-51f3: canary.mail.51f3@example.org called' },
    );
    const kept = { actor: 'test', reason: 'canary-why-51f3: canary.mail.51f3@example.org is a family' };
    await world.engine.identity.generics.keep({ ns: 'email', value: ANNA.email }, kept);
    // Decided of others, for a reason that names her.
    await world.db.query(
      `INSERT INTO identity_reviews (id, a_id, b_id, version, weight, status, opened_at, decided_at, decided_by, reason)
       SELECT gen_random_uuid(), $1, $2, 'v', 1, 'kept_apart', 0, 0, 'test', 'canary-why-51f3: ' || $3::text`,
      [hashId('user_id', 'x'), hashId('user_id', 'y'), ANNA.email],
    );
    await world.engine.identity.revisions.request(
      { kind: 'merge', input: { identifiers: ['x', 'y'].map((value) => ({ ns: 'user_id', value })) } },
      { actor: 'test', reason: `canary-why-51f3: not ${ANNA.email}` },
    );
    await world.drain();
  };

  const erase = async (reason = 'she asked for it') => {
    const profileId = await profileOf('user_id', ANNA.user_id);
    const { id } = await world.engine.erasures.request({ profileId }, { reason, actor: 'test' });
    await world.drain();
    return { id, profileId, receipt: await world.engine.erasures.done(id, { signal: AbortSignal.timeout(5_000) }) };
  };

  /** What of some rows can be opened with the keys that there are. */
  const unsealed = (rows: readonly AnchoredPayload[]): Promise<string[]> => {
    if (world.keyDatabase === null) throw new Error('a sealed world has keys');
    return openCopies(world.keyDatabase, world.secret, rows);
  };

  const inStore = (): string[] =>
    [...world.store.entries].flatMap(([key, { bytes }]) => {
      const all = `${key} ${bytes.toString('latin1')}`.toLowerCase();
      return [...SECRETS, ...IDS].filter((text) => all.includes(text.toLowerCase()));
    });

  it('is in no table, column, statistic or copy, and others are as if she had never been', async () => {
    await live(world, [...hers().map((event) => [event]), bobs([ANNA.email]), [refused]]);
    await decide();
    await addModels();
    // As retentions leave it of everybody who has said something.
    await world.db.query(
      `INSERT INTO removed_words (anchor_id, purpose, is_denial, occurred_at, source_id, since)
       SELECT id, 'mail', true, 0, 1, 0 FROM identifiers`,
    );
    await world.db.query('ANALYZE');
    const before = await findTexts(world.db, [...SECRETS, ...IDS]);
    // All that is planted is there before, or its absence afterwards would say nothing.
    const copies = await world.db.query<AnchoredPayload>('SELECT anchor_id, payload FROM event_log');
    const letters = await world.db.query<AnchoredPayload>('SELECT seal_id AS anchor_id, payload FROM dead_letters');
    expect(await unsealed(letters)).toHaveLength(1);
    const said = ((await world.vault?.open(copies)) ?? []).map(({ payload }) => payload.toString()).join();
    const isThere = (text: string) => before.some((found) => found.text === text) || said.includes(text);
    expect([...SECRETS, ...IDS].filter((text) => !isThere(text))).toEqual([]);
    const places = new Set(before.filter(({ text }) => SECRETS.includes(text)).map(({ place }) => place));
    expect(places).not.toContain('public.event_log');
    expect(places).toContain('public.dead_letters');
    expect(places).toContain('public.profile_search');
    expect(places).toContain('public.matching_records');
    expect(places).toContain('public.linkage_models');
    const ofHers = before.filter(({ text }) => IDS.includes(text)).map(({ place }) => place);
    for (const table of ['matching_members', 'matching_keys', 'matching_pairs', 'identity_reviews', 'removed_words']) {
      expect(ofHers).toContain(`public.${table}`);
    }
    expect(inStore()).not.toEqual([]);

    const { receipt, profileId } = await erase();
    expect(receipt).toMatchObject({
      status: 'logical',
      events: 8,
      rewritten: 1,
      letters: 1,
      logicalAt: world.clock.now(),
    });
    await world.db.query('ANALYZE');
    expect(await findTexts(world.db, [...SECRETS, ...IDS])).toEqual([]);
    expect(inStore()).toEqual([]);
    // What is left of the copies is Bob's, but for what named her.
    const readable = await unsealed(copies);
    expect(readable).toHaveLength(copies.length - receipt.events - receipt.rewritten);
    for (const text of readable) expect(text).toContain('"bob"');
    expect(await unsealed(letters)).toEqual([]);
    expect(await strays(world.db)).toEqual([]);
    const told = (await world.feed()).filter((change) => change.profileId === profileId && change.kind === 'leave');
    expect(told.at(-1)?.cause.kind).toBe('erasure');

    const other = await newWorld();
    other.clock.advance(hers().length * MINUTE_MS);
    await live(other, [bobs([])]);
    other.clock.advance(MINUTE_MS);
    await other.drain();
    const { evidence: _, ...known } = await knownOf(other);
    expect(await knownOf(world)).toMatchObject(known);
    world.clock.advance(DAY_MS);
    other.clock.advance(DAY_MS);
    await Promise.all([world.drain(), other.drain()]);
    const { evidence: __, ...later } = await knownOf(other);
    expect(await knownOf(world)).toMatchObject(later);
  });

  it('is not gone before what stored models count is hashed, which takes more than one step', async () => {
    await addModels();
    await live(world, [hers().slice(0, 1)]);
    const profileId = await profileOf('anonymous_id', OLD_COOKIE);
    const { id } = await world.engine.erasures.request({ profileId }, { reason: 'she asked', actor: 'test' });
    let steps = 0;
    for (; (await plainModels()) > 0; steps++) {
      expect(await world.engine.erasures.find(id)).not.toMatchObject({ status: 'logical' });
      expect(await world.engine.worker.runOnce()).toBe(true);
    }
    expect(steps).toBeGreaterThan(1);
    // What hashed them was no step of the erasure: it goes on from here.
    expect(await world.engine.erasures.find(id)).not.toMatchObject({ status: 'logical' });
    await world.drain();
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical' });
  });

  it('has to be nobody for stored models to be hashed: a worker that starts does so', async () => {
    await addModels();
    expect(await plainModels()).toBe(1);
    await world.engine.worker.stop();
    const { worker } = await world.another();
    await worker.drain();
    expect(await plainModels()).toBe(0);
    expect(await findTexts(world.db, ['canary-name-51f3'])).toEqual([]);
  });

  it('is taken out of what was decided a page a transaction, before the last one', async () => {
    await live(world, [hers().slice(0, 3)]);
    await decide();
    const profileId = await profileOf('user_id', ANNA.user_id);
    const { id } = await world.engine.erasures.request({ profileId }, { reason: 'she asked', actor: 'test' });
    const naming = async (table: string): Promise<number> =>
      (await world.db.query(`SELECT FROM ${table} WHERE reason LIKE 'canary-why-51f3%'`)).length;
    expect(await naming('identity_revisions')).toBeGreaterThan(0);
    while ((await naming('identity_revisions')) > 0) expect(await world.engine.worker.runOnce()).toBe(true);
    expect(await naming('identity_reviews')).toBeGreaterThan(0);
    expect(await naming('identity_links')).toBeGreaterThan(0);
    while ((await naming('identity_links')) > 0) expect(await world.engine.worker.runOnce()).toBe(true);
    expect(await naming('identity_reviews')).toBe(0);
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'running' });
    await world.drain();
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical' });
  });

  it('is in no file of the database once its tables were written anew', async () => {
    await live(world, [...hers().map((event) => [event]), bobs([ANNA.email]), [refused]]);
    await decide();
    // Of a table that is empty by then, the planner keeps what it has seen.
    await world.db.query('INSERT INTO contested_components (component_id, since) SELECT id, 0 FROM identifiers');
    await world.db.query('ANALYZE contested_components');
    await world.db.query('DELETE FROM contested_components');
    // Of tables that are full it has seen texts of hers.
    await world.db.query('ANALYZE');
    await world.db.query('CHECKPOINT');
    expect(new Set(await inFiles())).toContain(ANNA.email);
    // In another database of the cluster, where somebody writes for long.
    const writer = await world.keyDatabase?.session(() => undefined);
    await writer?.query('BEGIN');
    await writer?.query('SELECT pg_current_xact_id()');
    const { id } = await erase();
    const sampled = async () => (await findTexts(world.db, IDS)).filter(({ place }) => place === 'pg_stats');
    let waits = 0;
    const wait = async (ms: number): Promise<void> => {
      if (waits++ === 0) await writer?.close();
      await sleep(ms);
    };
    const compactor = (backupHorizonMs: number) =>
      new Compactor({ db: world.db, clock: world.clock, sleep: wait, vault: world.vault, backupHorizonMs });
    expect(await sampled()).not.toEqual([]);
    expect(await compactor(DAY_MS).run()).toEqual({ compacted: 1, physical: 0, sealed: 0 });
    expect(waits).toBeGreaterThan(0);
    expect(await sampled()).toEqual([]);
    await world.db.query('CHECKPOINT');
    expect(await inFiles()).toEqual([]);
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical', compactedAt: world.clock.now() });
    world.clock.advance(DAY_MS);
    expect(await compactor(DAY_MS).run()).toEqual({ compacted: 0, physical: 1, sealed: 0 });
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'physical', physicalAt: world.clock.now() });
  });

  const inFiles = (): Promise<string[]> => findInFiles(world.db, SECRETS);

  it('leaves the feed as long as it was, with the positions that its readers know', async () => {
    await live(world, [hers(), bobs([])]);
    const before = await world.feed();
    await erase();
    const after = await world.feed();
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after.map(({ seq }) => seq)).toEqual(after.map((_, i) => i + 1));
  });

  it('does not come back by events, by what she is refused for, or by another process', async () => {
    await live(world, [hers()]);
    const other = await world.another();
    await other.accept.accept({ id: 1, key: 'web' }, [aTrack('view', BOB)], { historical: false });
    await erase();
    const again = [aTrack('view', { user_id: 'new-account', email: ANNA.email }), aTrack('view', BOB), refused];
    const results = await other.accept.accept({ id: 1, key: 'web' }, again, { historical: false });
    expect(results).toMatchObject([
      { status: 'refused', code: 'SUPPRESSED' },
      { status: 'accepted' },
      { status: 'refused', code: 'NAME_MISSING' },
    ]);
    await world.drain();
    expect(await findTexts(world.db, [...SECRETS, ...IDS, 'new-account'])).toEqual([]);
    await world.engine.erasures.unsuppress({ ns: 'email', value: ANNA.email });
    const lifted = await other.accept.accept({ id: 1, key: 'web' }, again.slice(0, 1), { historical: false });
    expect(lifted).toMatchObject([{ status: 'accepted' }]);
  });

  it('is not let back in before she is gone, for what came in would go with her keys', async () => {
    await live(world, [hers()]);
    const email = { ns: 'email', value: ANNA.email };
    const { id } = await world.engine.erasures.request({ identifier: email }, { reason: '', actor: 'test' });
    await expect(world.engine.erasures.unsuppress(email)).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await world.accept([aTrack('view', { email: ANNA.email })])).toMatchObject([{ code: 'SUPPRESSED' }]);
    await world.drain();
    await world.engine.erasures.done(id);
    await world.engine.erasures.unsuppress(email);
    expect(await world.accept([aTrack('view', { email: ANNA.email })])).toMatchObject([{ status: 'accepted' }]);
    await world.drain();
    expect(await world.db.query('SELECT value FROM identifiers')).toEqual([{ value: ANNA.email }]);
  });

  it('is gone with what was on its way when that was asked for', async () => {
    await live(world, [hers()]);
    // Accepted, not applied: it ties another account's cookie to her, which ties in one more.
    await world.accept([
      anIdentify({ user_id: ANNA.user_id, anonymous_id: 'canary-late-51f3' }),
      anIdentify({ anonymous_id: 'canary-late-51f3', device_id: 'canary-device-51f3' }),
    ]);
    const { receipt } = await erase();
    expect(receipt.events).toBe(9);
    expect(await findTexts(world.db, [...SECRETS, ...IDS, 'canary-late-51f3', 'canary-device-51f3'])).toEqual([]);
    const again = await world.accept([aTrack('view', { device_id: 'canary-device-51f3' })]);
    expect(again).toMatchObject([{ status: 'refused', code: 'SUPPRESSED' }]);
  });

  it('takes nobody along who is merged with her meanwhile, asked before or after', async () => {
    await live(world, [hers(), [aTrack('view', BOB)], [aTrack('view', { user_id: 'carl' })]]);
    const { revisions } = world.engine.identity;
    const asker = { actor: 'test', reason: '' };
    const mergeWith = (user: string) => ({
      kind: 'merge' as const,
      input: { identifiers: [ANNA.user_id, user].map((value) => ({ ns: 'user_id', value })) },
    });
    const before = await revisions.request(mergeWith('bob'), asker);
    const identifier = { ns: 'user_id', value: ANNA.user_id };
    await world.engine.erasures.request({ identifier }, { reason: '', actor: 'test' });
    await expect(revisions.request(mergeWith('carl'), asker)).rejects.toMatchObject({ code: 'CONFLICT' });
    await world.drain();
    expect(await revisions.get(before.id)).toMatchObject({ status: 'failed', failure: { code: 'CONFLICT' } });
    expect(await findTexts(world.db, [...SECRETS, ...IDS])).toEqual([]);
    const others = await world.db.query(`SELECT value FROM identifiers WHERE ns = 'user_id' ORDER BY value`);
    expect(others).toEqual([{ value: 'bob' }, { value: 'carl' }]);
  });

  it('is erased again by the ledger where a backup of the database brings her back', async () => {
    await live(world, [hers(), bobs([])]);
    await erase();
    const ledger = new ErasureLedger(world.ledgerPath);
    expect(JSON.stringify(await ledger.read())).not.toContain('canary');
    // What a restored backup looks like: her events are there, and nobody knows of an erasure.
    await world.db.query('DELETE FROM suppressions');
    await world.db.query('UPDATE log_head SET suppressions = suppressions + 1');
    await live(world, [hers()]);
    expect(await findTexts(world.db, SECRETS)).not.toEqual([]);
    const { entries, begun } = await world.engine.erasures.replay(ledger, 'test');
    expect({ entries, begun: begun.length }).toEqual({ entries: 1, begun: 1 });
    await world.drain();
    expect(await findTexts(world.db, [...SECRETS, ...IDS])).toEqual([]);
    expect((await world.engine.erasures.replay(ledger, 'test')).begun).toEqual([]);
  });

  it('waits for what was accepted before, says so where somebody looks on, and keeps nobody else from being erased', async () => {
    await live(world, [hers(), bobs([])]);
    const ofHer = { ns: 'user_id', value: ANNA.user_id };
    const { id } = await world.engine.erasures.request({ identifier: ofHer }, { actor: 'test', reason: 'asked' });
    // Events are on their way.
    await world.db.query('UPDATE erasures SET barrier_pos = barrier_pos + 1000');
    const bob = { identifier: { ns: 'user_id', value: BOB.user_id } };
    const other = await world.engine.erasures.request(bob, { actor: 'test', reason: 'asked' });
    await world.drain();
    expect(await world.engine.erasures.find(other.id)).toMatchObject({ status: 'logical' });
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'waiting' });

    const [told, interruption] = [[] as string[], new AbortController()];
    const write = (text: string) => told.push(text);
    let exitCode = 0;
    const profiles = new Command('profiles');
    addEraseCommand(profiles, {
      stdout: { write },
      stderr: {
        write: (text) => {
          write(text);
          interruption.abort();
        },
      },
      setExitCode: (code) => (exitCode = code),
      withErasing: (use) => {
        const running = use(world.engine.erasures);
        const timer = setInterval(() => world.clock.advance(1_000), 1);
        return running.finally(() => {
          clearInterval(timer);
        });
      },
      confirm: null,
      signal: interruption.signal,
      user: 'test',
      onReceipt: () => undefined,
    });
    await profiles.parseAsync(['erase', `user_id:${ANNA.user_id}`, '--reason', 'asked', '--yes'], { from: 'user' });
    expect(told).toEqual([
      expect.stringMatching(
        /^Waiting for what was accepted before it to be applied: \d+ positions of the log are left\.\n$/,
      ),
      `The erasure goes on wherever a worker runs, and cannot be called off: weft privacy receipt ${id} says how far it is.\n`,
      'Interrupted.\n',
    ]);
    expect(exitCode).toBe(130);
    await world.db.query('UPDATE erasures SET barrier_pos = barrier_pos - 1000');
    await world.drain();
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'logical' });
  });

  it('is told as given up where her events cannot be taken back, until that is asked for again', async () => {
    await live(world, [hers()]);
    const who = { identifier: { ns: 'user_id', value: ANNA.user_id } };
    const { id } = await world.engine.erasures.request(who, { actor: 'test', reason: 'asked' });
    while ((await world.db.query('SELECT FROM retractions')).length === 0) await world.engine.worker.runOnce();
    await world.db.query(`UPDATE retractions SET status = 'failed', reason = 'INTERNAL: of a test'`);
    await world.drain();
    expect(await world.engine.erasures.find(id)).toMatchObject({ status: 'failed' });
    expect(await checkErasures(world.db)).toEqual({
      name: 'erasures',
      outcome: 'failed',
      detail: `1 were given up; ${id}: INTERNAL: of a test`,
      hint: 'Remove the cause, then ask for the erasure again: nothing goes on before.',
    });
    world.clock.advance(MINUTE_MS);
    const again = await world.engine.erasures.request(who, { actor: 'test', reason: 'again' });
    await world.drain();
    expect(await world.engine.erasures.find(again.id)).toMatchObject({ status: 'logical' });
    expect(await checkErasures(world.db)).toMatchObject({ outcome: 'ok' });
  });

  it('is asked for once, however often it is asked while it is under way, and names nobody in its receipt', async () => {
    await live(world, [hers()]);
    const identifier = { ns: 'email', value: ANNA.email.toUpperCase() };
    const request = () => world.engine.erasures.request({ identifier }, { reason: '', actor: 'test' });
    const [first, second] = await Promise.all([request(), request()]);
    expect(second.id).toBe(first.id);
    await world.drain();
    await expect(request()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(JSON.stringify(await world.engine.erasures.page(null, 10))).not.toContain('canary');
  });

  it('takes her items out of kept deliveries of webhooks, and leaves those of others', async () => {
    await live(world, [hers()]);
    const purpose = deliveryPurpose(1);
    await world.db.query(`INSERT INTO webhooks (source_id, adapter, options, created_at) VALUES (1, 'json', '{}', 0)`);
    const keep = async (body: unknown) =>
      world.db.query(
        `INSERT INTO webhook_deliveries (source_id, received_at, bytes, accepted, duplicates, refused, skipped, sealed)
         VALUES (1, 0, 1, 0, 0, 0, 0, $1)`,
        [world.secret.seal(purpose, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)))],
      );
    const bo = { from: 'bo', text: 'hello' };
    await keep({ items: [{ from: ANNA.email.toUpperCase() }, bo, { from: ANNA.user_id }] });
    await keep({ items: [bo] });
    await keep({ items: [{ from: ANNA.phone }] });
    await keep(`from=${ANNA.email}&text=hi`);
    const { receipt } = await erase();
    expect(receipt.deliveries).toBe(3);
    const kept = await world.db.query<{ sealed: Buffer; isSized: boolean }>(
      'SELECT sealed, bytes = length(sealed) AS "isSized" FROM webhook_deliveries ORDER BY id',
    );
    const bodies = kept.map(
      ({ sealed }) => JSON.parse(world.secret.open(purpose, sealed)?.toString() ?? '') as unknown,
    );
    expect(bodies).toEqual([{ items: [bo] }, { items: [bo] }]);
    expect(kept[0]?.isSized).toBe(true);
  });

  it('is known by a telephone number as sources of another region write it', async () => {
    world = await createWorld(START_MS);
    worlds.push(world);
    await world.accept([], { source: 'crm' });
    await world.db.query(`UPDATE sources SET region = 'US'`);
    const national = '(415) 555-0151';
    const letter = { ...refused, identifiers: [{ ns: 'phone', value: national }] };
    const send = (events: readonly IncomingEvent[]) =>
      world.engine.accept.accept({ id: 1, key: 'crm', region: 'US' }, events, { historical: false });
    await send([
      anIdentify({ user_id: ANNA.user_id, phone: national }),
      aTrack('call', { ...BOB, phone: national }, { properties: { to: national } }),
      letter,
    ]);
    await world.drain();
    expect(await findTexts(world.db, [national])).toMatchObject([
      { place: 'public.dead_letters' },
      { place: 'public.event_log' },
    ]);
    await erase();
    await send([letter, aTrack('view', BOB)]);
    expect(await findTexts(world.db, [national])).toEqual([]);
  });

  it('takes her message ids out of what tracking plans keep to look at', async () => {
    await live(world, [hers(), bobs([])]);
    await world.db.query(
      `INSERT INTO plan_violations (source_id, hour, event, rule, path, count, samples)
       VALUES (1, 0, 'view', 'required', 'properties.page', 2, '{canary-message-51f3,b1}')`,
    );
    expect(dedupeIdOf(1, 'b1')).not.toBe(dedupeIdOf(1, 'canary-message-51f3'));
    await erase();
    expect(await world.db.query('SELECT samples FROM plan_violations')).toEqual([{ samples: ['b1'] }]);
  });
});
