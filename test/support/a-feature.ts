import type { FeatureDefinition } from '../../src/features/feature.model.js';

/** A feature that counts all events, but for what is said of it. */
export function aFeature(name: string, more: Partial<FeatureDefinition> = {}): FeatureDefinition {
  return {
    name,
    view: 'test',
    description: '',
    aggregate: 'count',
    events: [],
    source: null,
    where: null,
    value: null,
    windowMs: null,
    unitMs: null,
    limit: null,
    type: 'int',
    ...more,
  };
}
