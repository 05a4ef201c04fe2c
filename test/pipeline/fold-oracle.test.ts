import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_IDENTITY_RULES } from '../../src/identity/identity-rules.model.js';
import { PURPOSES, withConsents } from '../support/naive-consents.js';
import { LIST_KEYS, withLists } from '../support/naive-lists.js';
import { naiveFold, withStepsSorted, type NaiveEdit } from '../support/naive-fold.js';
import { NaiveModel } from '../support/naive-model.js';
import { byProfile, readFeed, readState } from '../support/pipeline-state.js';
import { edited, randomDefinitions, SOURCES, withPlaces } from '../support/random-conditions.js';
import { acceptLog, pick, randomFrom, randomLog } from '../support/random-log.js';
import { replayedFeed } from '../support/replayed-feed.js';
import { promoteTimedModel, TIMED_FEATURES, TIMED_MODEL } from '../support/timed-model.js';
import { createWorld, DAY_MS, HOUR_MS, MINUTE_MS, START_MS } from '../support/world.js';

const ADVANCES_MS = [0, 0, 1, 999, MINUTE_MS, 5 * MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 7 * HOUR_MS];

interface Run {
  readonly seed: number;
  readonly segments: number;
  readonly steps: number;
  readonly historicalShare: number;
  readonly maxBatchEvents: number;
  /** Share of the steps after which everything is applied before the next. */
  readonly drainShare: number;
  /** Share of the steps after which the process is replaced. */
  readonly restartShare: number;
  /** Steps after which a segment gets another rule. */
  readonly editsAfter: readonly number[];
}

const aRun: fc.Arbitrary<Run> = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
  segments: fc.integer({ min: 4, max: 9 }),
  steps: fc.integer({ min: 30, max: 50 }),
  historicalShare: fc.constantFrom(0, 0, 0.3),
  maxBatchEvents: fc.constantFrom(1, 2, 5, 1000),
  drainShare: fc.constantFrom(0, 0.2, 1),
  restartShare: fc.constantFrom(0, 0.2),
  editsAfter: fc.constantFrom([], [], [9], [3, 20]),
});

/** What the pipeline made of a random log under random definitions, and what it should have. */
async function play(run: Run) {
  const random = randomFrom(run.seed);
  const model = new NaiveModel(TIMED_MODEL, TIMED_FEATURES);
  const definitions = randomDefinitions(random, run.segments, model);
  const { features } = definitions;
  let { segments } = definitions;
  const edits: NaiveEdit[] = [];
  const versions = [...segments];
  const plain = randomLog(random, { ...run, maxEventsPerStep: 4, advancesMs: ADVANCES_MS, people: 3 });
  const log = withLists(random, withPlaces(random, withConsents(random, plain)));
  const caches = random() < 0.3 ? { maxCachedProfiles: 1, maxCachedIdentifiers: 1 } : {};
  const limits = { maxBatchEvents: run.maxBatchEvents, ...caches };
  const world = await createWorld(START_MS, { limits });
  try {
    for (const source of SOURCES) await world.accept([], { source });
    await world.defineFeatures([...features, ...TIMED_FEATURES]);
    await promoteTimedModel(world);
    await world.engine.services.purposes.apply(PURPOSES);
    await world.db.execute(
      `INSERT INTO lists (key, name, description, created_at) SELECT key, key, '', $2 FROM unnest($1::text[]) AS key`,
      [LIST_KEYS, START_MS],
    );
    for (const { key, rule } of segments) await world.defineSegment(key, rule.expression, rule);
    await world.drain();
    let { engine } = world;
    const edit = async (): Promise<void> => {
      world.clock.advance(1);
      await engine.worker.drain();
      const { changed, segments: changedSegments } = edited(random, { features, segments }, model);
      segments = changedSegments;
      versions.push(changed);
      const t = world.clock.now() + 1;
      await world.defineSegment(changed.key, changed.rule.expression, changed.rule);
      await engine.worker.drain();
      const { pos: lastPos } = await engine.log.head();
      edits.push({ afterPos: lastPos, t, segments });
      world.clock.advance(2);
      await engine.worker.drain();
    };
    await acceptLog(world, log, async (step) => {
      if (random() < run.drainShare) await engine.worker.drain();
      if (random() < run.restartShare) {
        await engine.worker.stop();
        engine = await world.engineOn(world.db, limits);
        if (random() < 0.5) await engine.worker.drain();
      }
      if (run.editsAfter.includes(step)) await edit();
      world.clock.advance(pick(random, [0, 0, 1]));
    });
    await engine.worker.drain();
    world.clock.advance(2 * DAY_MS);
    await engine.worker.drain();
    const { events } = await engine.log.readBatch({
      afterPos: 0,
      parts: Array.from({ length: 16 }, (_, i) => i),
      limit: 10_000,
      maxBytes: 2 ** 30,
    });
    const until = world.clock.now();
    const { profiles, memberships, entries } = await readState(world.db, await engine.definitions.current(), until);
    const feed = byProfile(await readFeed(world.db));
    for (const [name, lines] of Object.entries(feed)) feed[name] = withStepsSorted(lines);
    const lived = await replayedFeed(world, await engine.definitions.current(), { fromMs: START_MS - 1, toMs: until });
    for (const [name, lines] of Object.entries(lived.feed)) lived.feed[name] = withStepsSorted(lines);
    const members = await world.db.query<{ line: string }>(
      `SELECT m.profile_id || ' in ' || s.key AS line FROM memberships m JOIN segments s ON s.id = m.segment_id ORDER BY 1`,
    );
    const isEdited = edits.length > 0;
    const memory = segments.some(({ exit, dwellMs }) => exit !== null || dwellMs > 0);
    const founded = await world.db.query<{ founding_id: string; id: string }>('SELECT founding_id, id FROM profiles');
    const profileIds = new Map(founded.map((row) => [row.founding_id, row.id]));
    const naiveWorld = { rules: DEFAULT_IDENTITY_RULES, segments: definitions.segments, profileIds };
    const oracle = () => naiveFold(naiveWorld, events, until, edits);
    const answer = () =>
      model.answer(async (rows) => (await engine.scorer.score(TIMED_MODEL, rows)).map((said) => said ?? {}));
    let expected = oracle();
    // Which instants are looked at may depend on labels, where segments remember: so asked until nothing new is.
    for (let rounds = 0; (await answer()) > 0; rounds++) {
      expect(rounds).toBeLessThan(10);
      expected = oracle();
    }
    return {
      actual: { profiles, memberships, entries, feed },
      expected,
      // An edit is no part of the log: what came of it is lived through where nothing remembers.
      lived: {
        ...(isEdited ? {} : { feed: lived.feed }),
        ...(isEdited && memory ? {} : { members: lived.memberships }),
      },
      live: {
        ...(isEdited ? {} : { feed }),
        ...(isEdited && memory ? {} : { members: members.map(({ line }) => line) }),
      },
      texts: versions.map(({ key, version, rule }) => `${key} v${String(version)}: ${JSON.stringify(rule)}`),
    };
  } finally {
    await world.close();
  }
}

describe('live membership', () => {
  it('is what recomputing everything after each event and at each instant gives', { timeout: 300_000 }, async () => {
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(aRun, async (run) => {
        const { actual, expected, texts, lived, live } = await play(run);
        changes += Object.values(expected.feed).flat().length;
        expect(actual, texts.join('\n')).toEqual(expected);
        expect(lived, texts.join('\n')).toEqual(live);
      }),
      { numRuns: 20, endOnFailure: true },
    );
    // The runs say something only if something happens in them.
    expect(changes).toBeGreaterThan(500);
  });
});
