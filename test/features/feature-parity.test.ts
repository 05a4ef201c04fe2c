import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { AnchorStateStore } from '../../src/features/anchor-state.store.js';
import type { ParityFigures } from '../../src/monitoring/feature-parity.model.js';
import { addParityCommand } from '../../src/monitoring/feature-parity.command.js';
import { chooseProfiles, ParityWatch, ProfileWalk } from '../../src/parity-watch.js';
import { ParitySampler, type ParityRound } from '../../src/parity-sampler.js';
import { SourceService } from '../../src/sources/source.service.js';
import { SourceStore } from '../../src/sources/source.store.js';
import { packProfile, profileKey } from '../../src/segments/profile-snapshot.model.js';
import { newProfileWork } from '../../src/segments/profile-work.model.js';
import { Command } from 'commander';
import { aFeature } from '../support/a-feature.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { acceptLog, defineSome, randomFrom, randomLog } from '../support/random-log.js';
import { DAY_MS, HOUR_MS, MINUTE_MS, START_MS } from '../support/world.js';

/* Served features against the log. */

const MORE = [
  aFeature('spend_by_sku', {
    ...{ aggregate: 'sum', value: 'properties.total', type: 'double_map', options: { by: 'properties.sku' } },
  }),
  aFeature('dearest_95', { aggregate: 'percentile', value: 'properties.total', type: 'double', options: { p: 0.95 } }),
];

let world: ApiWorld;
let sampler: ParitySampler;

async function everybody() {
  return sampler.compare(await chooseProfiles(world.db, 1_000, 1));
}

const wrongIn = (round: ParityRound): string[] =>
  round.figures.filter((each) => each.mismatched + each.missing > 0).map(({ feature }) => feature);

beforeAll(async () => {
  world = await createApiWorld({ sealed: true });
  await defineSome(world, MORE);
  sampler = new ParitySampler({
    db: world.db,
    clock: world.clock,
    definitions: () => world.engine.definitions.current(),
    store: () => world.store,
    anchors: new AnchorStateStore(),
    events: new EventHistoryReader(world.engine.sealer),
    sleep: () => Promise.resolve(),
  });
  const log = randomLog(randomFrom(7), {
    ...{ steps: 60, maxEventsPerStep: 5, advancesMs: [0, 1, MINUTE_MS, HOUR_MS], historicalShare: 0.2, people: 6 },
  });
  await acceptLog(world, log, async (step) => {
    if (step % 3 === 0) await world.engine.worker.runOnce();
  });
});

afterAll(() => world.close());

describe('comparing served features with the log', () => {
  it('finds them the same while events are applied, after merges, and long after', async () => {
    const applying = world.drain();
    expect(wrongIn(await everybody())).toEqual([]);
    await applying;
    for (const laterMs of [0, HOUR_MS, 3 * DAY_MS]) {
      world.clock.advance(laterMs);
      const round = await everybody();
      expect(wrongIn(round)).toEqual([]);
      expect(round).toMatchObject({ skipped: 0, mismatches: [], untold: [] });
      expect(round.profiles).toBeGreaterThan(4);
      expect(round.figures.map(({ feature }) => feature)).toEqual(expect.arrayContaining(['spend_by_sku', 'seen']));
    }
  });

  describe('where something is wrong', () => {
    let victim: string;
    beforeEach(async () => {
      await world.drain();
      const [row] = await world.db.query<{ id: string }>(
        `SELECT i.profile_id AS id FROM identifiers i JOIN anchor_states a ON a.anchor_id = i.id
         ORDER BY length(a.state) DESC LIMIT 1`,
      );
      victim = row?.id ?? '';
    });

    it('finds a state that has lost its events', async () => {
      const before = await world.db.query<{ anchor_id: string; state: Buffer }>(
        `SELECT anchor_id, state FROM anchor_states JOIN identifiers i ON i.id = anchor_id WHERE i.profile_id = $1`,
        [victim],
      );
      const { features } = await world.engine.definitions.current();
      const empty = features.encode(features.empty());
      for (const { anchor_id: id } of before) {
        await world.db.query('UPDATE anchor_states SET state = $2 WHERE anchor_id = $1', [id, empty]);
      }
      const round = await everybody();
      expect(wrongIn(round)).toEqual(expect.arrayContaining(['seen', 'spend_by_sku', 'dearest_95', 'last_sku']));
      expect(round.figures.find(({ feature }) => feature === 'last_sku')).toMatchObject({ mismatched: 0, missing: 1 });
      expect(round.figures.find(({ feature }) => feature === 'seen')?.maxDelta).toBeGreaterThan(1);
      expect(new Set(round.mismatches.map(({ profileId }) => profileId))).toEqual(new Set([victim]));
      expect(new Set(round.mismatches.map(({ where }) => where))).toEqual(new Set(['state']));
      for (const { anchor_id: id, state } of before) {
        await world.db.query('UPDATE anchor_states SET state = $2 WHERE anchor_id = $1', [id, state]);
      }
      expect(wrongIn(await everybody())).toEqual([]);
    });

    it('finds a copy in the online store that stays behind', async () => {
      const { features } = await world.engine.definitions.current();
      const profile = newProfileWork({ id: victim, createdAt: START_MS, mergedInto: null, part: 0 } as never, features);
      const stale = packProfile(profile, features, START_MS);
      const [known] = await world.store.getMany([profileKey(victim)]);
      await world.store.putMany([{ key: profileKey(victim), version: 2 ** 40, bytes: stale }]);
      const { mismatches } = await everybody();
      expect(mismatches.length).toBeGreaterThan(3);
      expect(new Set(mismatches.map(({ profileId, where }) => `${where} ${profileId}`))).toEqual(
        new Set([`copy ${victim}`]),
      );
      await world.store.putMany([{ key: profileKey(victim), version: 2 ** 40 + 1, bytes: known?.bytes ?? stale }]);
    });
  });

  it('leaves out who has more events than are read, and says of how many and in which features', async () => {
    const { db, clock, engine, store } = world;
    const few = new ParitySampler({
      ...{ db, clock, store: () => store, anchors: new AnchorStateStore(), maxEvents: 3 },
      definitions: () => engine.definitions.current(),
      events: new EventHistoryReader(engine.sealer),
      sleep: () => Promise.resolve(),
    });
    const ids = await chooseProfiles(db, 1_000, 1);
    const round = await few.compare(ids);
    expect(round.tooBig).toBeGreaterThan(0);
    expect([round.skipped, round.profiles]).toEqual([round.tooBig, ids.length - round.tooBig]);
    const seen = round.figures.find(({ feature }) => feature === 'seen');
    expect(seen).toMatchObject({ compared: round.profiles, tooBig: round.tooBig, mismatched: 0 });
  });

  it('leaves out what the log cannot tell any more', async () => {
    const sources = new SourceService(new SourceStore(world.test.database.dataSource), world.clock);
    await sources.update('web', { retentionMs: 10 * DAY_MS });
    world.clock.advance(30 * DAY_MS);
    await world.drain();
    const round = await everybody();
    expect(round.untold).toEqual(expect.arrayContaining(['seen', 'dearest', 'spend_by_sku']));
    expect(round.untold).not.toContain('views_2d');
    expect(wrongIn(round)).toEqual([]);
  });
});

describe('the standing comparison', () => {
  it('goes through a share of everybody by and by, and keeps what it finds', async () => {
    const seen: string[] = [];
    const errors: unknown[] = [];
    const watch = new ParityWatch({
      db: world.db,
      clock: world.clock,
      share: 1,
      perMinute: 12,
      walk: new ProfileWalk(world.db, world.clock.now()),
      sampler: {
        compare: (ids) => {
          seen.push(...ids);
          return sampler.compare(ids);
        },
      },
      observer: { compared: () => undefined },
      onError: (error) => errors.push(error),
    });
    const all = await chooseProfiles(world.db, 1_000, 1);
    for (let look = 0; look < all.length; look++) await watch.look();
    expect(errors).toEqual([]);
    expect(new Set(seen)).toEqual(new Set(all));
    const query = `query ($after: String) { featureParity(first: 2, after: $after) {
      edges { node { feature compared mismatched missing maxDelta } } pageInfo { hasNextPage endCursor } } }`;
    interface Page {
      featureParity: { edges: { node: { feature: string; mismatched: number } }[]; pageInfo: { endCursor: string } };
    }
    const first = (await world.ask<Page>(query)).data?.featureParity;
    const second = (await world.ask<Page>(query, { after: first?.pageInfo.endCursor })).data?.featureParity;
    const nodes = [...(first?.edges ?? []), ...(second?.edges ?? [])].map(({ node }) => node);
    expect(nodes).toHaveLength(4);
    expect(nodes.map(({ feature }) => feature)).toEqual(nodes.map(({ feature }) => feature).sort());
    expect(nodes.every(({ mismatched }) => mismatched === 0)).toBe(true);
  });

  it('takes nobody of a share of nothing', async () => {
    const watch = new ParityWatch({
      ...{ db: world.db, clock: world.clock, share: 0, perMinute: 60 },
      walk: new ProfileWalk(world.db, 1),
      sampler: { compare: () => Promise.reject(new Error('nobody is to be compared')) },
      observer: { compared: () => undefined },
      onError: (error) => {
        throw error as Error;
      },
    });
    await watch.look();
  });
});

describe('weft features parity', () => {
  const round: ParityRound = {
    ...{ profiles: 2, skipped: 0, tooBig: 0, events: 30, mismatches: [], untold: [] },
    figures: [
      {
        entity: 'profile',
        feature: 'seen',
        compared: 2,
        mismatched: 0,
        missing: 0,
        estimated: 0,
        maxDelta: 0,
        tooBig: 0,
      },
    ],
  };
  const run = (found: ParityRound, ...args: string[]) =>
    runWith(
      (io) =>
        addParityCommand(new Command('features'), {
          ...io,
          signal: new AbortController().signal,
          compareProfiles: () => Promise.resolve(found),
          compareItems: () => Promise.reject(new Error('people are to be compared')),
        }),
      ['parity', ...args],
    );

  it('ends by what it finds', async () => {
    expect(await run(round)).toMatchObject({
      code: 0,
      stdout: 'Compared 2 values of 1 features in 2 profiles with what 30 events give: 0 mismatches.\n',
    });
    const wrong = {
      entity: 'profile',
      feature: 'seen',
      compared: 2,
      mismatched: 1,
      missing: 0,
      estimated: 0,
      maxDelta: 3,
      tooBig: 0,
    };
    const bad = {
      ...round,
      figures: [wrong],
      mismatches: [{ profileId: 'p1', feature: 'seen', where: 'state' as const }],
    };
    const { code, stdout } = await run(bad);
    expect(code).toBe(1);
    expect(stdout).toContain('seen of profile p1: wrong in the state');
    const json = await run(bad, '--json');
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ figures: [{ maxDelta: 3 }] });
  });

  it('says why there is nothing to compare, and ends with 1', async () => {
    const none = { ...round, profiles: 0, events: 0, figures: [] };
    expect(await run(none)).toMatchObject({ code: 1, stdout: '' });
    expect((await run(none)).stderr).toContain('there is nothing to compare');
    const [figures] = round.figures;
    const big = {
      ...none,
      skipped: 2,
      tooBig: 2,
      figures: [{ ...(figures as ParityFigures), compared: 0, tooBig: 2 }],
    };
    expect((await run(big, '--json')).stderr).toContain('2 profiles with more than 20,000 events');
    expect((await run({ ...none, untold: ['seen'] })).stderr).toContain('the log cannot tell any feature');
    expect(await run(round, '--max-events', '0')).toMatchObject({ code: 1 });
  });

  it('says which item of the entity that is asked about is wrong', async () => {
    const asked: unknown[] = [];
    const { code, stdout } = await runWith(
      (io) =>
        addParityCommand(new Command('features'), {
          ...io,
          signal: new AbortController().signal,
          compareProfiles: () => Promise.reject(new Error('items are to be compared')),
          compareItems: (entity, { count, maxEvents }) => {
            asked.push(entity, count, maxEvents);
            const { figures } = round;
            const mismatches = [{ entity, key: 'sku-1', feature: 'seen', where: 'state' }];
            const missing = figures.map((each) => ({ ...each, entity, missing: 1 }));
            return Promise.resolve({
              items: 2,
              skipped: 4,
              tooBig: 3,
              events: 9,
              untold: [],
              figures: missing,
              mismatches,
            });
          },
        }),
      ['parity', '--entity', 'item', '--sample', '7', '--max-events', '30000'],
    );
    expect([code, ...asked]).toEqual([1, 'item', 7, 30_000]);
    expect(stdout).toContain('Compared 2 values of 1 features in 2 items with what 9 events give: 1 mismatches.');
    expect(stdout).toContain('Not compared: 3 items with more than 30,000 events, which --max-events has read, too.');
    expect(stdout).toContain('Not compared: 1 items with damaged events, or changing.');
    expect(stdout).toContain('seen of item sku-1: wrong in the state');
  });
});
