import type { PurposeDefinition } from '../../src/profiles/purpose.model.js';

/** A purpose that is not allowed unless somebody says so. */
export function aPurpose(key: string, more: Partial<PurposeDefinition> = {}): PurposeDefinition {
  return {
    key,
    name: key,
    description: '',
    default: 'denied',
    expiresAfterDays: null,
    edge: false,
    categories: {},
    ...more,
  };
}
