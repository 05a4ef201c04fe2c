import type { TrainingSetOrder } from './make-training-set.js';
import type { TrainingSetSpec } from './training-set-job.model.js';
import type { MaxAges } from './training-set-request.model.js';

/** What is to be made, but for of which file and into which. */
export function orderOfSpec(spec: TrainingSetSpec): Omit<TrainingSetOrder, 'labels' | 'out' | 'maxAges'> & {
  readonly fullNames: boolean;
  readonly isImputed: boolean;
  readonly features: readonly string[];
  readonly maxAges: MaxAges;
} {
  const { service, features, knownAsOf, consentAsOf, maxAgeMs, maxAgesMs, fullNames, isImputed, split } = spec;
  return {
    ...(service === null ? undefined : { service }),
    features,
    knownAsOf,
    consentAsOf,
    maxAges: { others: maxAgeMs, byFeature: new Map(Object.entries(maxAgesMs)) },
    fullNames,
    isImputed,
    split,
  };
}
