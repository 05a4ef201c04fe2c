import { indexSegments, purposesOfSegment, type LoadedDefinitions } from './definitions.js';
import { FeatureSet } from './features/feature-set.model.js';
import type { FeatureDefinition } from './features/feature.model.js';
import { streamsOf } from './features/stream.model.js';
import { compileSegment, type CompiledSegment } from './segments/compile-segment.js';
import { FEATURE_EXPRESSIONS } from './segments/feature-expression.js';
import type { SegmentTrial, TrialDefinitions } from './segments/segment-preview.model.js';
import { isShadow } from './segments/shadow.model.js';

/** No stored segment has it: their ids begin at 1. */
const TRIAL_ID = 0;

/**
 * Definitions with a segment that is only tried, over features that include those that its conditions define. History is
 * folded from its beginning, so no feature waits for any.
 * @param isTold whether the log still has the events of a feature
 * @throws WeftError EXPRESSION_INVALID where it refers to a segment that is not active
 */
export function withTrial(
  loaded: LoadedDefinitions,
  { key, rule, parsed }: SegmentTrial,
  isTold: (feature: FeatureDefinition) => boolean,
): TrialDefinitions {
  const features = withFeatures(loaded, parsed.requires.inlineFeatures);
  const trial = compileSegment(
    parsed,
    { key, segmentId: TRIAL_ID, version: 0 },
    (name) => features.indexOf(name),
    { needed: purposesOfSegment(rule.purposes, parsed.requires, loaded), purposes: loaded.purposes },
    rule,
  );
  const active = [...loaded.segments.byId.values()].filter(({ segmentId }) => !isShadow(segmentId));
  const segments = [...referredBy(trial, new Map(active.map((segment) => [segment.key, segment]))), trial];
  const asked = new Set(segments.flatMap(({ modelDeps }) => modelDeps));
  const models = new Map([...loaded.models].filter(([model]) => asked.has(model)));
  const isReady = (): boolean => true;
  const read = new Set(segments.flatMap(({ featureDeps }) => featureDeps));
  for (const { featureIndexes } of models.values()) for (const index of featureIndexes) read.add(index);
  return {
    definitions: {
      ...loaded,
      onScored: undefined,
      features,
      models,
      segments: indexSegments(segments, models, isReady),
    },
    segmentId: TRIAL_ID,
    others: { ...loaded, onScored: undefined, features, segments: indexSegments(active, loaded.models, isReady) },
    untold: [...read].flatMap((index) => {
      const definition = features.definitions[index];
      return definition === undefined || isTold(definition) ? [] : [definition.name];
    }),
  };
}

/** The same features at the same indexes, and more behind them. */
function withFeatures(loaded: LoadedDefinitions, inline: readonly FeatureDefinition[]): FeatureSet {
  const known = loaded.features;
  const added = inline.filter(({ name }) => known.indexOf(name) === undefined);
  if (added.length === 0) return known;
  const ids = new Map(known.streams.map(({ id, spec }) => [spec.key, id]));
  let next = known.streams.reduce((most, { id }) => Math.max(most, id), 0);
  // States are of this preview alone: any id will do that no other stream has.
  for (const { key } of streamsOf(added)) if (!ids.has(key)) ids.set(key, ++next);
  const sources = new Map([...loaded.sourceKeys].map(([id, key]) => [key, id]));
  return FeatureSet.compile([...known.definitions, ...added], ids, sources, FEATURE_EXPRESSIONS);
}

/** All that a segment refers to, directly or not. */
function referredBy(trial: CompiledSegment, active: ReadonlyMap<string, CompiledSegment>): CompiledSegment[] {
  const found = new Map<string, CompiledSegment>();
  const visit = ({ segmentDeps }: CompiledSegment): void => {
    for (const key of segmentDeps) {
      const other = active.get(key);
      if (other === undefined || key === trial.key || found.has(key)) continue;
      found.set(key, other);
      visit(other);
    }
  };
  visit(trial);
  return [...found.values()];
}
