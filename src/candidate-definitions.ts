import {
  bindModels,
  indexSegments,
  purposesOfModel,
  purposesOfSegment,
  type LoadedDefinitions,
} from './definitions.js';
import type { RegisteredModel } from './scoring/model-manifest.model.js';
import type { RowScorer } from './scoring/prediction.model.js';
import { compileSegment } from './segments/compile-segment.js';
import { evaluatedVersions } from './segments/evaluated-versions.js';
import { parseRule } from './segments/segment-rule.model.js';
import { isShadow } from './segments/shadow.model.js';

/**
 * Definitions as they would be if this version were promoted. Segments in the shadow are left out: nobody is told of them.
 * @param scorer answers for this version alone
 * @throws WeftError MODEL_INVALID where it reads features that do not exist
 */
export function withModelVersion(
  loaded: LoadedDefinitions,
  { key, manifest }: Pick<RegisteredModel, 'key' | 'manifest'>,
  scorer: RowScorer,
): LoadedDefinitions {
  const { features, purposes, featurePurposes } = loaded;
  const models = new Map([...loaded.models, ...bindModels(scorer, features)]);
  const modelPurposes = new Map(loaded.modelPurposes);
  modelPurposes.delete(key);
  const needed = purposesOfModel(manifest, featurePurposes);
  if (needed.length > 0) modelPurposes.set(key, needed);
  const types = new Map(features.definitions.map(({ name, type }) => [name, type]));
  const compiled = [...loaded.stored.values()]
    .flatMap(evaluatedVersions)
    .filter(({ segmentId }) => !isShadow(segmentId))
    .map(({ rule, ...identity }) => {
      const parsed = parseRule(rule, { features: types });
      const own = purposesOfSegment(rule.purposes, parsed.requires, { featurePurposes, modelPurposes });
      return compileSegment(parsed, identity, (name) => features.indexOf(name), { needed: own, purposes }, rule);
    });
  return {
    ...loaded,
    onScored: undefined,
    ...{ models, modelPurposes },
    segments: indexSegments(compiled, models, (index) => loaded.isReady(index)),
    score: (model, rows, asOf) => (model === key ? scorer.predict(model, rows, asOf) : loaded.score(model, rows, asOf)),
  };
}
