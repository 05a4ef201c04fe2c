import type { FeatureDefinition } from '../../src/features/feature.model.js';
import { readModelFixture } from './model-fixtures.js';
import { aFeature } from './a-feature.js';
import { SOME_FEATURES, SOME_SEGMENTS } from './random-log.js';
import { HOUR_MS, MINUTE_MS, type World } from './world.js';

/** A clustering by four numbers, here those of {@link TIMED_FEATURES}. */
export const TIMED_MODEL = 'iris_clusters';
/** What it calls its clusters. */
export const TIMED_LABELS = ['first', 'second', 'third'] as const;

/**
 * What the model reads, in its order: features that time alone changes, between its steps, too. Their names are those
 * that the model was made with.
 */
export const TIMED_FEATURES: readonly FeatureDefinition[] = [
  aFeature('sepal_length_cm', {
    aggregate: 'recency',
    events: ['view'],
    unitMs: MINUTE_MS,
    windowMs: 8 * MINUTE_MS + 1,
  }),
  aFeature('sepal_width_cm', { aggregate: 'distinct', value: 'properties.sku', windowMs: 6 * MINUTE_MS + 7 }),
  aFeature('petal_length_cm', { events: ['view', 'cart'], windowMs: 7 * MINUTE_MS }),
  aFeature('petal_width_cm', { aggregate: 'recency', events: ['cart'], unitMs: HOUR_MS }),
];

/** Makes the model the active one. Its features are to be defined by the caller. */
export async function promoteTimedModel({ engine }: Pick<World, 'engine'>): Promise<void> {
  const { models } = engine.services;
  const { bytes, manifest } = await readModelFixture(TIMED_MODEL);
  const { model } = await models.register(bytes, manifest);
  await models.promote(model.key, model.version);
}

/** Segments that ask the model, alone, with a rule beside it, and through one another. */
const SCORED_SEGMENTS: Readonly<Record<string, string>> = {
  second: `label("${TIMED_MODEL}") == "second"`,
  third_and_browsing: `label("${TIMED_MODEL}") == "third" && count("view", "1h") >= 1`,
  neither: '!segment("second") && !segment("third_and_browsing") && performed("view")',
};

/** What `defineSome` defines, and segments that ask a model. */
export async function defineScored(world: World): Promise<void> {
  await world.defineFeatures([...SOME_FEATURES, ...TIMED_FEATURES]);
  await promoteTimedModel(world);
  for (const [key, expression] of Object.entries({ ...SOME_SEGMENTS, ...SCORED_SEGMENTS })) {
    await world.defineSegment(key, expression);
  }
  await world.drain();
}
