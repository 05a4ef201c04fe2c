import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { JsonValue } from '../../src/events/event.model.js';
import type { FeatureType, FeatureView } from '../../src/features/feature.model.js';
import { ProfileSnapshotReader } from '../../src/profile-snapshot.reader.js';
import { aFeature } from '../support/a-feature.js';
import { aPurpose } from '../support/a-purpose.js';
import { createApiWorld, type ApiWorld } from '../support/api-world.js';
import { askEdge } from '../support/edge-calls.js';
import { PATIENT } from '../support/edge-world.js';
import { readModelFixture } from '../support/model-fixtures.js';
import { anIdentify, aTrack, HOUR_MS, MINUTE_MS } from '../support/world.js';

/*
 * Two trained models of the same flower. `iris_clusters` needs `scoring` by its manifest and reads only features that
 * everybody may use; `iris_named` needs nothing itself, but one of the two views that it reads needs `tracking`.
 */

const FLOWER = {
  sepal_length_cm: 6.6,
  sepal_width_cm: 3,
  petal_length_cm: 4.4,
  petal_width_cm: 1.4,
  petal_length_tenths: 44,
  petal_width_class: 'middle',
};
const MODELS = [
  { by: 'its manifest', model: 'iris_clusters', purpose: 'scoring', segment: 'thirds', label: 'third' },
  { by: 'a view of its features', model: 'iris_named', purpose: 'tracking', segment: 'spotted', label: 'versicolor' },
] as const;
type Gated = (typeof MODELS)[number];

let world: ApiWorld;
let edgeKey: string;
const runs: string[] = [];

beforeAll(async () => {
  world = await createApiWorld({ observers: { onRun: (model) => runs.push(model) } });
  const { purposes, features } = world.engine.services;
  await purposes.apply([aPurpose('scoring'), aPurpose('tracking'), aPurpose('mail')]);
  const plain = ['sepal_length_cm', 'sepal_width_cm', 'petal_length_cm', 'petal_width_cm'];
  await features.apply({
    views: [viewOf('flowers', plain), viewOf('petals', ['petal_length_tenths', 'petal_width_class'], ['tracking'])],
    services: [],
  });
  await promote('iris_clusters', ['scoring']);
  await promote('iris_named', []);
  for (const { model, label, segment } of MODELS) await defineEdgeSegment(segment, `label("${model}") == "${label}"`);
  await defineEdgeSegment('measured', 'performed("measured")');
  // Whoever does not allow the model is not in it either, though the other half of the condition holds.
  await defineEdgeSegment('either', `performed("measured") || label("iris_clusters") == "third"`);
  await world.drain();
  edgeKey = (await world.services.keys.create({ name: 'shop', scopes: ['edge'] })).secret;
});

afterAll(() => world.close());

function viewOf(name: string, names: readonly string[], purposes: readonly string[] = []): FeatureView {
  const typeOf = (feature: string): FeatureType =>
    feature.endsWith('_class') ? 'string' : feature.endsWith('_tenths') ? 'int' : 'double';
  return {
    name,
    description: '',
    source: null,
    features: names.map((feature) =>
      aFeature(feature, {
        view: name,
        aggregate: 'last',
        events: ['measured'],
        value: `properties.${feature}`,
        type: typeOf(feature),
      }),
    ),
    purposes,
  };
}

async function promote(name: 'iris_clusters' | 'iris_named', purposes: readonly string[]): Promise<void> {
  const { bytes, manifest } = await readModelFixture(name);
  const { models } = world.engine.services;
  const { model } = await models.register(bytes, { ...manifest, edge: true, purposes });
  await models.promote(model.key, model.version);
}

async function defineEdgeSegment(key: string, expression: string): Promise<void> {
  const { segments } = world.engine.services;
  await segments.upsert({ key, name: key, description: '', tags: [], edge: true, expression });
  await segments.activate(key);
}

interface Person {
  readonly user_id: string;
  readonly anonymous_id: string;
}

let people = 0;
/** Somebody new, who has a flower. */
async function aGrower(): Promise<Person> {
  const number = String(people++);
  const who = { user_id: `p${number}`, anonymous_id: `7c05542a-a638-43fd-b185-${number.padStart(12, '0')}` };
  await world.accept([anIdentify({ ...who }), aTrack('measured', { user_id: who.user_id }, { properties: FLOWER })]);
  await settle();
  return who;
}

async function settle(): Promise<void> {
  await world.drain();
  world.clock.advance(1);
  await world.drain();
}

/** @returns when it was said, ms */
async function says({ user_id }: Person, purpose: string, word: JsonValue): Promise<number> {
  const at = world.clock.now();
  await world.accept([aTrack('choice', { user_id }, { context: { consent: { purposes: { [purpose]: word } } } })]);
  await world.drain();
  return at;
}

const READ = `query ($value: String!, $model: String!, $segment: String!) {
  profile(identifier: { namespace: "user_id", value: $value }) {
    id
    score(model: $model) { model version score label cluster inputs }
    live: membership(segment: $segment) { isMember }
    now: membership(segment: $segment, evaluate: NOW) { isMember }
    segments { segment { key } }
  }
}`;

interface Read {
  readonly id: string;
  readonly score: { readonly label: string | null; readonly inputs: string };
  readonly live: { readonly isMember: boolean };
  readonly now: { readonly isMember: boolean };
  readonly segments: readonly { readonly segment: { readonly key: string } }[];
}

async function read({ user_id }: Person, { model, segment }: Pick<Gated, 'model' | 'segment'>): Promise<Read> {
  const { profile } = await world.data<{ profile: Read }>(READ, { value: user_id, model, segment });
  return profile;
}

/** What all doors tell: the score, the memberships, and what a page is told. */
async function told(who: Person, { model, segment }: Gated) {
  const { score, live, now, segments } = await read(who, { model, segment });
  const profile = await pageOf(who);
  return {
    score: `${score.inputs} ${String(score.label)}`,
    live: live.isMember,
    now: now.isMember,
    segments: segments.map((each) => each.segment.key).includes(segment),
    edgeSegments: profile?.segments.includes(segment),
    edgeScore: profile?.scores.find((each) => each.model === model)?.label ?? null,
    isDegraded: profile?.degraded,
  };
}

/** What a page is told of its visitor. */
async function pageOf({ anonymous_id: value }: Person, more: { after?: string; deadlineMs?: number } = {}) {
  const variables = { identifier: { namespace: 'anonymous_id', value }, deadlineMs: PATIENT, ...more };
  return (await askEdge(world.url, { key: edgeKey, variables })).profile;
}

const NOTHING = {
  score: 'WITHHELD null',
  live: false,
  now: false,
  segments: false,
  edgeSegments: false,
  edgeScore: null,
  isDegraded: false,
};

const all = ({ label }: Gated) => ({
  score: `COMPLETE ${label}`,
  live: true,
  now: true,
  segments: true,
  edgeSegments: true,
  edgeScore: label,
  isDegraded: false,
});

/** The feed on the segment, as a query tells it: `LEAVE by CONSENT at +1`, ms from `fromMs`. */
async function changesOf(who: Person, gated: Gated, fromMs: number, after: number): Promise<string[]> {
  const { id } = await read(who, gated);
  const { segmentChanges } = await world.data<{
    segmentChanges: { edges: { node: { kind: string; at: string; cause: { kind: string } } }[] };
  }>(
    `query ($profile: ID!, $segments: [String!], $purposes: [String!]) {
       segmentChanges(profile: $profile, segments: $segments, purposes: $purposes) {
         edges { node { kind at cause { kind } } }
       }
     }`,
    { profile: id, segments: [gated.segment], purposes: [gated.purpose] },
  );
  return segmentChanges.edges
    .slice(after)
    .map(({ node: { kind, at, cause } }) => `${kind} by ${cause.kind} at +${String(Date.parse(at) - fromMs)}`);
}

describe.each(MODELS)('a model that needs a purpose by $by', (gated) => {
  const { model, purpose } = gated;

  it('says nothing of those who have not said that they allow it, and is not asked', async () => {
    runs.length = 0;
    const who = await aGrower();
    await vi.waitFor(async () => expect(await told(who, gated)).toEqual(NOTHING));
    await says(who, 'mail', true);
    expect(await told(who, gated)).toEqual(NOTHING);
    expect(await changesOf(who, gated, 0, 0)).toEqual([]);
    expect(runs).not.toContain(model);
  });

  it('says it of those who allow it, until the event by which they do not any more', async () => {
    const who = await aGrower();
    const grantedAt = await says(who, purpose, true);
    world.clock.advance(1);
    expect(await told(who, gated)).toEqual(all(gated));
    expect(await changesOf(who, gated, grantedAt, 0)).toEqual(['ENTER by EVENT at +1']);
    world.clock.advance(MINUTE_MS);
    const deniedAt = await says(who, purpose, false);
    runs.length = 0;
    expect(await told(who, gated)).toEqual(NOTHING);
    expect(await changesOf(who, gated, deniedAt, 1)).toEqual(['LEAVE by CONSENT at +1']);
    expect(runs).not.toContain(model);
    world.clock.advance(MINUTE_MS);
    const againAt = await says(who, purpose, true);
    world.clock.advance(1);
    expect(await told(who, gated)).toEqual(all(gated));
    expect(await changesOf(who, gated, againAt, 2)).toEqual(['ENTER by EVENT at +1']);
  });

  it('says it until the very millisecond at which the word runs out, without an event', async () => {
    const who = await aGrower();
    const until = world.clock.now() + HOUR_MS + 7;
    await says(who, purpose, { status: 'granted', expiresAt: new Date(until).toISOString() });
    world.clock.set(until - 1);
    await world.drain();
    expect(await told(who, gated)).toEqual(all(gated));
    expect(await changesOf(who, gated, until, 1)).toEqual([]);
    world.clock.set(until);
    // Before the worker has seen that time has passed, whatever is computed for the question knows it already.
    expect(await told(who, gated)).toMatchObject({ score: NOTHING.score, now: false, edgeScore: null });
    world.clock.advance(MINUTE_MS);
    await world.drain();
    expect(await told(who, gated)).toEqual(NOTHING);
    expect(await changesOf(who, gated, until, 1)).toEqual(['LEAVE by CONSENT at +0']);
  });
});

it('what a page was told a moment ago, or before events that it waited for, stands in without what the visitor may refuse', async () => {
  const who = await aGrower();
  await says(who, 'scoring', true);
  await says(who, 'tracking', true);
  world.clock.advance(1);
  expect(await pageOf(who)).toMatchObject({ segments: ['either', 'measured', 'spotted', 'thirds'], degraded: false });
  const context = { consent: { purposes: { scoring: false, tracking: false } } };
  const response = await fetch(`${world.url}/v1/track`, {
    method: 'POST',
    headers: { authorization: `Bearer ${world.keys.ingest}` },
    body: JSON.stringify({ event: 'choice', userId: who.user_id, context }),
  });
  const { token: after } = (await response.json()) as { token: string };
  const ungated = { known: true, degraded: true, segments: ['measured'], scores: [] };
  expect(await pageOf(who, { after, deadlineMs: 40 })).toMatchObject(ungated);
  await world.drain();
  vi.spyOn(ProfileSnapshotReader.prototype, 'atHand').mockReturnValue(undefined);
  vi.spyOn(ProfileSnapshotReader.prototype, 'idsOf').mockRejectedValue(new Error('the store is away'));
  expect(await pageOf(who)).toMatchObject(ungated);
  vi.restoreAllMocks();
  world.defects.length = 0;
});

it('what everybody may be in stays, and a word on one purpose says nothing of another', async () => {
  const who = await aGrower();
  await says(who, 'tracking', true);
  world.clock.advance(1);
  const [byManifest, byView] = MODELS;
  expect(await told(who, byManifest)).toEqual(NOTHING);
  expect(await told(who, byView)).toEqual(all(byView));
  const { segments } = await read(who, byView);
  expect(segments.map(({ segment }) => segment.key)).toEqual(['measured', 'spotted']);
});

it('a version that needs more lets go of those who do not allow it, and one that needs less takes them in again', async () => {
  const [gated] = MODELS;
  const [who, both] = [await aGrower(), await aGrower()];
  await says(who, 'scoring', true);
  await says(both, 'scoring', true);
  await says(both, 'mail', true);
  world.clock.advance(1);
  expect(await told(who, gated)).toEqual(all(gated));
  await promote('iris_clusters', ['scoring', 'mail']);
  await settle();
  await vi.waitFor(async () => expect(await told(who, gated)).toEqual(NOTHING));
  expect(await told(both, gated)).toEqual(all(gated));
  await promote('iris_clusters', ['scoring']);
  await settle();
  await vi.waitFor(async () => expect(await told(who, gated)).toEqual(all(gated)));
});

it('so does a view of its features that needs more', async () => {
  const [, gated] = MODELS;
  const who = await aGrower();
  await says(who, 'tracking', true);
  world.clock.advance(1);
  expect(await told(who, gated)).toEqual(all(gated));
  const petals = ['petal_length_tenths', 'petal_width_class'];
  const { features } = world.engine.services;
  await features.apply({ views: [viewOf('petals', petals, ['tracking', 'mail'])], services: [] });
  await settle();
  await vi.waitFor(async () => expect(await told(who, gated)).toEqual(NOTHING));
  await says(who, 'mail', true);
  world.clock.advance(1);
  expect(await told(who, gated)).toEqual(all(gated));
});
