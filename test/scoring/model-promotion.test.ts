import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelDrift } from '../../src/create-model-command.js';
import { createPromotionPreviews } from '../../src/create-promotion-previews.js';
import { addModelDriftCommand } from '../../src/monitoring/model-drift.command.js';
import type { VersionDrift } from '../../src/monitoring/model-drift.model.js';
import { newId } from '../../src/platform/ids.js';
import { modelCommand } from '../../src/scoring/model.command.js';
import { ModelReader } from '../../src/scoring/model.reader.js';
import type { ModelManifest } from '../../src/scoring/model-manifest.model.js';
import type { PromotionPreview } from '../../src/scoring/promotion-preview.model.js';
import type { ScoreHour } from '../../src/scoring/score-hour.model.js';
import { ScoreHourReader } from '../../src/scoring/score-hour.reader.js';
import { ScoreHourStore } from '../../src/scoring/score-hour.store.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { runWith } from '../support/command-runner.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { anIdentify, aTrack, HOUR_MS, MINUTE_MS } from '../support/world.js';

let world: ApiWorld;
const PEOPLE = 240;
const KEY = 'several_outputs';

beforeAll(async () => {
  world = await createApiWorld();
  await world.accept([]);
  await world.defineFeatures([
    aFeature('width', { aggregate: 'last', events: ['sized'], value: 'properties.width', type: 'double' }),
    aFeature('height', { aggregate: 'last', events: ['sized'], value: 'properties.height', type: 'double' }),
  ]);
  const { models } = world.engine.services;
  const { bytes, manifest } = await readModelFixture(KEY);
  await models.register(bytes, manifest);
  await models.promote(KEY, 1);
  await models.register(bytes, another(manifest));
  await world.defineSegment('big', `score("${KEY}") > 1.0`);
  await world.defineSegment('lasting', `score("${KEY}") > 2.0`, { exitExpression: `score("${KEY}") < 0.2` });
  await world.defineSegment('long', `label("${KEY}") == "long" && has(f.width)`);
  await world.defineSegment('small', '!segment("big") && has(f.width)');
  await world.defineSegment('wide', 'f.width > 1.0');
  await world.accept(
    Array.from({ length: PEOPLE }, (_, i) => [
      anIdentify({ user_id: `p${String(i)}` }, { gender: i % 3 === 0 ? 'f' : 'm' }),
      // The narrow ones are women.
      aTrack(
        'sized',
        { user_id: `p${String(i)}` },
        { properties: { width: (i % 3 === 0 ? 0.5 : 2) * (1 + (i % 7) / 7), height: (i % 5) / 2 } },
      ),
    ]).flat(),
  );
  await world.drain();
});

afterAll(async () => {
  expect(world.defects).toEqual([]);
  await world.close();
});

/** The same graph, of which another output is the score, with its classes the other way round. */
function another(manifest: ModelManifest): ModelManifest {
  return {
    ...manifest,
    version: 'another',
    outputs: {
      score: { output: 'embedding', index: 0 },
      label: { output: 'class', names: ['long', 'short'] },
      embedding: { output: 'embedding' },
    },
    goldenVectors: [
      {
        features: { width: 0.25, height: 0 },
        expected: { score: 0.125, label: 'long', embedding: [0.125, -0.25, 0.0625] },
      },
    ],
  };
}

/** A sweep evaluates people a millisecond after the newest instant that the log knows of. */
async function settle(): Promise<void> {
  await world.drain();
  world.clock.advance(1);
  await world.drain();
}

async function members(): Promise<Map<string, Set<string>>> {
  const rows = await world.db.query<{ key: string; id: string }>(
    'SELECT s.key, m.profile_id AS id FROM memberships m JOIN segments s ON s.id = m.segment_id',
  );
  const found = new Map<string, Set<string>>();
  for (const { key, id } of rows) found.set(key, (found.get(key) ?? new Set()).add(id));
  return found;
}

const weft = (...args: string[]) =>
  runWith(
    (io) =>
      modelCommand({
        ...{ ...io, signal: new AbortController().signal, confirm: null },
        withModels: (use) => use({ reader: new ModelReader(world.db), service: world.engine.services.models }),
        withPromotionPreviews: (use) =>
          use(
            createPromotionPreviews({
              ...{ db: world.db, clock: world.clock, observer: {}, definitions: world.engine.definitions },
              models: world.engine.services.models,
            }),
          ),
        withProgress: (run) => run(() => undefined),
      }),
    args,
  );

const weftDrift = (...args: string[]) =>
  runWith(
    (io) =>
      addModelDriftCommand(new Command('model'), {
        ...io,
        withModelDrift: (use) => use(modelDrift(world.db, world.clock)),
      }),
    args,
  );

const QUERY = `query ($version: Int!, $by: String, $maxProfiles: Int) {
  modelPromotionPreview(key: "${KEY}", version: $version, by: $by, maxProfiles: $maxProfiles) {
    active profilesTotal profilesSeen share segments { key before after entering leaving churn }
    scores { psi meanBefore meanAfter correlation bins { upTo before after } }
    classes { agreement moves { before after profiles } }
    impacts { segment leastBefore leastAfter unknown groups { value people rateBefore rateAfter ratioAfter } } notes
  }
}`;

describe('a promotion', () => {
  it('does what its preview says, to each segment that asks the model, itself or by another', async () => {
    const before = await members();
    const { modelPromotionPreview: preview } = await world.data<{ modelPromotionPreview: PromotionPreview }>(QUERY, {
      version: 2,
      by: 'trait.gender',
    });
    expect(preview).toMatchObject({ active: 1, profilesTotal: PEOPLE, profilesSeen: PEOPLE, share: 1, notes: [] });
    expect(preview.scores?.psi).toBeGreaterThan(0.25);
    expect(preview.classes?.agreement).toBe(0);
    expect(await members()).toEqual(before);

    world.clock.advance(MINUTE_MS);
    await world.engine.services.models.promote(KEY, 2);
    await settle();
    const after = await members();
    const none = new Set<string>();
    expect(preview.segments).toEqual(
      ['big', 'lasting', 'long', 'small'].map((key) => {
        const [was, is] = [before.get(key) ?? none, after.get(key) ?? none];
        const entering = [...is].filter((id) => !was.has(id)).length;
        const leaving = [...was].filter((id) => !is.has(id)).length;
        const churn = (entering + leaving) / (was.size + entering);
        return { key, before: was.size, after: is.size, entering, leaving, churn };
      }),
    );
    // Each of them is a case: people go both ways, and those with a memory stay.
    const shift = (key: string) => preview.segments.find((segment) => segment.key === key);
    expect(shift('big')?.leaving).toBeGreaterThan(0);
    expect(shift('long')?.entering).toBeGreaterThan(0);
    expect(shift('small')?.entering).toBe(shift('big')?.leaving);
    expect(shift('lasting')?.after).toBeGreaterThan(0);
    const rateOf = async (key: string, gender: string): Promise<number> => {
      const [row] = await world.db.query<{ rate: number }>(
        `SELECT avg((m.profile_id IS NOT NULL)::int)::float8 AS rate FROM identifiers i
         JOIN segments s ON s.key = $1 LEFT JOIN memberships m ON m.profile_id = i.profile_id AND m.segment_id = s.id
         WHERE (substr(i.value, 2)::int % 3 = 0) = ($2 = 'f')`,
        [key, gender],
      );
      return row?.rate ?? NaN;
    };
    const impact = preview.impacts.find(({ segment }) => segment === 'big');
    expect(impact?.groups.map(({ value, people }) => [value, people])).toEqual([
      ['m', 160],
      ['f', 80],
    ]);
    for (const { value, rateAfter } of impact?.groups ?? []) {
      expect(rateAfter).toBeCloseTo(await rateOf('big', value), 12);
    }
    expect(impact?.leastAfter).toBe(Math.min(...(impact?.groups ?? []).map(({ ratioAfter }) => ratioAfter ?? NaN)));
  });

  it('is of versions that are shown in words', async () => {
    const shown = await weft('show', KEY);
    expect(shown).toMatchObject({ code: 0, stderr: '' });
    expect(shown.stdout).toMatch(/^Model several_outputs version 2\n/);
    expect(shown.stdout).toMatch(/^ {2}says +a score; a label: long, short; an embedding$/m);
    expect(shown.stdout).toMatch(/^ {2}one row takes +[\d.e-]+ ms alone \(99th percentile\), [\d.e-]+ ms among many/m);
    expect((await weft('show', KEY, '1')).stdout).toMatch(/^ {2}stage +retired$/m);
    expect(JSON.parse((await weft('show', KEY, '1', '--json')).stdout)).toMatchObject({ key: KEY, version: 1 });
    expect((await weft('show', KEY, '7')).stderr).toContain('its newest one is 2');
    expect((await weft('show', 'nobody')).stderr).toContain('there is no model nobody');
  });

  it('is shown by the command, by a sample that is always the same, and nothing is changed', async () => {
    const before = await members();
    const shown = await weft('promote', KEY, '1', '--dry-run', '--by', 'trait.gender');
    expect(shown).toMatchObject({ code: 0, stderr: '' });
    expect(shown.stdout).toContain(`Model ${KEY} version 1 instead of version 2, by ${String(PEOPLE)} people`);
    expect(shown.stdout).toMatch(/^segment +members +after +enter +leave +churn$/m);
    expect(shown.stdout).toMatch(/^Scores: a great change \(PSI/m);
    expect(shown.stdout).toMatch(/ {2}long → short: \d+/);
    expect(shown.stdout).toMatch(/^big by gender: lowest ratio/m);
    expect(shown.stdout.endsWith('Nothing was changed.\n')).toBe(true);
    const sampled = async (): Promise<PromotionPreview> =>
      JSON.parse((await weft('promote', KEY, '1', '--dry-run', '--sample', '60', '--json')).stdout) as PromotionPreview;
    const [first, second] = [await sampled(), await sampled()];
    expect(first).toEqual(second);
    expect(first.profilesSeen).toBeGreaterThan(20);
    expect(first.profilesSeen).toBeLessThan(120);
    expect(first.share).toBeCloseTo(60 / PEOPLE, 5);
    expect(await members()).toEqual(before);
    expect((await new ModelReader(world.db).active()).map(({ version }) => version)).toEqual([2]);
  });

  it.each([
    [{ version: 3 }, 'there is no version 3 of model several_outputs'],
    [{ version: 1, by: 'gender' }, '"gender" is no trait'],
    [{ version: 1, maxProfiles: 20_001 }, 'at most 20000 profiles are looked at at once'],
    [{ version: 1, maxProfiles: 0 }, 'not even one profile is asked about'],
  ])('is refused with %j, saying why', async (variables, message) => {
    expect((await world.ask(QUERY, variables)).errors).toMatchObject([{ message }]);
  });

  it('without a version that answers brings in whomever it finds', async () => {
    const { bytes, manifest } = await readModelFixture('refuses_rows');
    const features = ['width'];
    await world.engine.services.models.register(bytes, {
      ...{ ...manifest, key: 'fresh', featureService: { name: 'fresh_v1', features } },
      inputs: [{ tensor: 'amounts', type: 'float', features }],
      goldenVectors: [{ features: { width: 1 }, expected: { score: 0.5 } }],
    });
    const { stdout, stderr } = await weft('promote', 'fresh', '1', '--dry-run');
    expect(stdout).toContain('Model fresh version 1 instead of none');
    expect(stderr).toContain('note: No version answers now.\n');
    expect(stderr).toContain('note: No active segment asks the model.\n');
    // It fails on widths above 2.
    expect(stderr).toMatch(/note: It gave no answer about \d+ of 240 people: they stay as they are\./);
  });
});

describe('a canary', () => {
  interface Told {
    readonly id: string;
    readonly version: number;
    readonly score: number;
    readonly live: boolean;
    readonly now: boolean;
  }

  /** What each of the people is told. */
  async function told(): Promise<Map<string, Told>> {
    type Answer = Record<string, { id: string; score: Told; live: { isMember: boolean }; now: { isMember: boolean } }>;
    const ofSome = (first: number) =>
      world.data<Answer>(
        `{ ${Array.from({ length: 15 }, (_, i) => `p${String(first + i)}`)
          .map(
            (value) => `${value}: profile(identifier: { namespace: "user_id", value: "${value}" }) {
              id score(model: "${KEY}") { version score }
              live: membership(segment: "big") { isMember } now: membership(segment: "big", evaluate: NOW) { isMember } }`,
          )
          .join(' ')} }`,
      );
    const answers = await Promise.all([0, 15, 30, 45].map(ofSome));
    return new Map(
      Object.entries(Object.assign({}, ...answers) as Answer).map(([value, { id, score, live, now }]) => [
        value,
        { id, version: score.version, score: score.score, live: live.isMember, now: now.isMember },
      ]),
    );
  }

  const asked = (people: ReadonlyMap<string, Told>, version: number): Set<string> =>
    new Set([...people].flatMap(([value, each]) => (each.version === version ? [value] : [])));

  async function canary(percent: number): Promise<Map<string, Told>> {
    world.clock.advance(MINUTE_MS);
    const answer = await world.data<{ setModelCanary: { stage: string; canaryPercent: number } }>(
      `mutation { setModelCanary(key: "${KEY}", version: 1, percent: ${String(percent)}) {
         ... on Model { stage canaryPercent } ... on Failure { message } } }`,
    );
    expect(answer.setModelCanary).toEqual({ stage: 'CANARY', canaryPercent: percent });
    await settle();
    return told();
  }

  it('answers for its share of the people wherever the model is asked, and for nobody else', async () => {
    expect(asked(await told(), 2).size).toBe(60);
    const head = (await world.feed()).at(-1)?.seq ?? 0;
    const people = await canary(30);
    const some = asked(people, 1);
    expect(some.size).toBeGreaterThan(5);
    expect(some.size).toBeLessThan(35);
    for (const { score, live, now } of people.values()) expect([live, now]).toEqual([score > 1, score > 1]);
    const changes = (await world.feed()).filter(({ seq }) => seq > head);
    expect(changes.length).toBeGreaterThan(0);
    expect(new Set(changes.map(({ cause }) => cause.kind))).toEqual(new Set(['model']));
    expect(new Set(changes.map(({ segment }) => segment))).not.toContain('wide');
  });

  it('goes on answering for whom it answered when the share grows, and for a survivor after a merge', async () => {
    const some = asked(await told(), 1);
    const people = await canary(60);
    const more = asked(people, 1);
    expect([...some].filter((value) => !more.has(value))).toEqual([]);
    expect(more.size).toBeGreaterThan(some.size);
    const others = asked(people, 2);
    const [one, other] = [[...more][0] ?? '', [...others][0] ?? ''];
    const versionOf = new Map([...people.values()].map(({ id, version }) => [id, version]));
    world.clock.advance(MINUTE_MS);
    await world.accept([
      aTrack('met', { user_id: one, email: 'both@example.org' }),
      aTrack('met', { user_id: other, email: 'both@example.org' }),
    ]);
    await settle();
    const merged = await told();
    for (const value of [one, other]) {
      const { id, version } = merged.get(value) ?? { id: '', version: NaN };
      expect(version).toBe(versionOf.get(id));
    }
  });

  it('is told apart by the list, explanations and events that come later', async () => {
    expect((await weft('list')).stdout).toMatch(new RegExp(`^${KEY} +1 +fixture-1 +canary 60 %`, 'm'));
    const people = await told();
    const value = [...asked(people, 1)].at(-1) ?? '';
    world.clock.advance(MINUTE_MS);
    await world.accept([aTrack('sized', { user_id: value }, { properties: { width: 0.6, height: 0.1 } })]);
    await settle();
    const { live, score, version } = (await told()).get(value) ?? { live: null, score: NaN, version: NaN };
    expect([version, live]).toEqual([1, score > 1]);
    const { profile } = await world.data<{ profile: { membershipExplanation: { models: unknown } } }>(
      `{ profile(identifier: { namespace: "user_id", value: "${value}" }) {
           membershipExplanation(segment: "big") { models { version score } } } }`,
    );
    expect(profile.membershipExplanation.models).toEqual([{ version: 1, score }]);
  });

  it('is compared with the active version by what both say of live traffic, which previews are not', async () => {
    const { scores } = world.engine;
    const store = new ScoreHourStore(world.db);
    const process = newId(world.clock.now());
    const before = scores.take();
    await weft('promote', KEY, '1', '--dry-run');
    expect(scores.take()).toEqual(before);
    await store.save(process, scores.take());
    // What is kept again stands in place of what was.
    await store.save(process, scores.take());
    const drift = await weftDrift('drift', KEY, '--json');
    const { active, versions } = JSON.parse(drift.stdout) as { active: number; versions: VersionDrift[] };
    expect(active).toBe(2);
    expect(versions.map(({ version, psi }) => [version, psi])).toEqual([
      [1, 0],
      [2, 0],
    ]);
    const held = (version: number) => before.filter((hour) => hour.version === version);
    for (const { version, answered, mean } of versions) {
      expect(answered).toBe(held(version).reduce((sum, hour) => sum + hour.answered, 0));
      const [total, scored] = [
        held(version).reduce((s, h) => s + h.total, 0),
        held(version).reduce((s, h) => s + h.scored, 0),
      ];
      expect(mean).toBeCloseTo(total / scored, 9);
    }
    expect(versions[0]?.psiAgainstActive).toBeGreaterThan(0.25);
    expect(versions[1]?.psiAgainstActive).toBeNull();
    expect((await weftDrift('drift', KEY)).stdout).toMatch(
      /^2 \(active\) +\d+ +0 +\S+ +0\.000 +- +no change to speak of$/m,
    );
    expect((await weftDrift('drift', 'nobody')).stderr).toContain('there is no model nobody');

    // A day and more later widths are missing, and only what began each version is kept of then.
    await store.save(process, [
      { ...(held(2)[0] as ScoreHour), start: world.clock.now() + 48 * HOUR_MS, missing: { width: 9 }, answered: 10 },
    ]);
    world.clock.advance(48 * HOUR_MS);
    expect((await weftDrift('drift', KEY)).stdout).toMatch(
      /^version 2: width was missing in \d+\.\d % of the rows, now in 90\.0 %$/m,
    );
    await store.sweep(world.clock.now() + 40 * 24 * HOUR_MS);
    const kept = await new ScoreHourReader(world.db).versions(KEY, 0);
    expect(kept.map(({ version, first, last }) => [version, first.length, last.length])).toEqual([
      [1, held(1).length, held(1).length],
      [2, held(2).length, held(2).length],
    ]);
  });

  it('ends at once, and everybody is asked of the active version again', async () => {
    world.clock.advance(MINUTE_MS);
    expect((await weft('abort', KEY)).stdout).toMatch(/version 1 is shadow/);
    await settle();
    const people = await told();
    expect(asked(people, 1).size).toBe(0);
    for (const { score, live, now } of people.values()) expect([live, now]).toEqual([score > 1, score > 1]);
    expect((await weft('abort', KEY)).stderr).toContain(`no version of model ${KEY} is a canary`);
  });

  it('becomes the active version by a promotion, which ends it', async () => {
    await canary(10);
    const preview = await world.data<{ modelPromotionPreview: PromotionPreview }>(QUERY, { version: 1 });
    expect(preview.modelPromotionPreview.active).toBe(2);
    await world.engine.services.models.promote(KEY, 1);
    world.clock.advance(MINUTE_MS);
    await settle();
    expect(asked(await told(), 1).size).toBe(60);
    const { models } = await world.data<{ models: { edges: { node: { stage: string; canaryPercent: null }[] }[] } }>(
      '{ models { edges { node { key version stage canaryPercent } } } }',
    );
    expect(models.edges.map(({ node }) => node)).toEqual([
      { key: 'fresh', version: 1, stage: 'SHADOW', canaryPercent: null },
      { key: KEY, version: 1, stage: 'ACTIVE', canaryPercent: null },
      { key: KEY, version: 2, stage: 'RETIRED', canaryPercent: null },
    ]);
  });

  it.each([
    ['several_outputs', 1, 5, 'version 1 answers for everybody'],
    ['several_outputs', 2, 100, 'the percentage is not from 1 to 99'],
    ['several_outputs', 7, 5, 'there is no version 7 of model several_outputs'],
    ['fresh', 1, 5, 'no version of model fresh is active'],
  ])('of %s, version %i, for %i of 100 is refused: %s', async (key, version, percent, message) => {
    const answer = await world.data<{ setModelCanary: { message: string } }>(
      `mutation { setModelCanary(key: "${key}", version: ${String(version)}, percent: ${String(percent)}) {
         ... on Failure { message } } }`,
    );
    expect(answer.setModelCanary.message).toContain(message);
  });

  it('gives what the active version gives, and needs nothing that it does not', async () => {
    const { bytes, manifest } = await readModelFixture(KEY);
    const { score } = manifest.outputs;
    const { models, purposes } = world.engine.services;
    await purposes.apply([aPurpose('ads', { default: 'granted' })]);
    const { model } = await models.register(bytes, {
      ...{ ...manifest, version: 'less', purposes: ['ads'] },
      outputs: score === undefined ? {} : { score },
      goldenVectors: [{ features: { width: 1, height: 2 }, expected: { score: 4.623310565948486 } }],
    });
    const refused = models.canary(KEY, model.version, 5);
    await expect(refused).rejects.toThrow(/it gives no label, as the active version does/);
    await expect(refused).rejects.toThrow(/it needs ads, which the active version does not/);
  });
});
