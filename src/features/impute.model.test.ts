import { describe, expect, test } from 'vitest';

import { checkImputations } from './impute.model.js';
import { parseFeatures } from './parse-features.js';

const HASH = 'ab'.repeat(32);

function fileOf(impute: string) {
  return parseFeatures(
    `
views:
  - name: shop
    features:
      - { name: total, aggregate: sum, value: properties.value }
      - { name: idle_days, aggregate: recency }
      - { name: platform, aggregate: last, value: properties.platform }
      - { name: is_member, aggregate: last, value: traits.member, type: bool }
      - { name: skus, aggregate: last_n, value: properties.sku, limit: 3 }
services:
  - { name: shop_v1, features: [total, idle_days, platform, is_member, skus], impute: ${impute} }
`,
    'f.yaml',
  );
}

function imputedBy(impute: string) {
  const { views, services } = fileOf(impute);
  checkImputations(views, services);
  return services[0]?.impute;
}

describe('what a feature service imputes', () => {
  test('is constants, and statistics with the training set that they are of', () => {
    const impute = `{ total: 0, platform: web, is_member: false, idle_days: { statistic: mean, value: 12.5, of: ${HASH} } }`;
    expect(imputedBy(impute)).toEqual({
      total: { value: 0 },
      platform: { value: 'web' },
      is_member: { value: false },
      idle_days: { statistic: 'mean', value: 12.5, of: HASH },
    });
    expect(imputedBy('{}')).toBeUndefined();
  });

  test.each([
    ['{ totl: 0 }', 'the service has no feature totl to impute'],
    ['{ total: { statistic: average, value: 1 } }', 'the statistic'],
    ['{ total: { statistic: mean } }', 'there is no value to impute'],
    ['{ total: { value: 1, of: abc } }', 'of is no SHA-256'],
    ['{ total: [1] }', 'what is imputed must be a map'],
    ['{ total: .inf }', 'there is no value to impute'],
    ['{ total: "0" }', 'what is imputed for total is not of type double'],
    ['{ platform: 3 }', 'what is imputed for platform is not of type string'],
    ['{ is_member: 1 }', 'what is imputed for is_member is not of type bool'],
    ['{ platform: { statistic: mean, value: web } }', 'platform is string and has no mean'],
    ['{ skus: x }', 'skus is string_list'],
  ])('is refused where it says %s', (impute, message) => {
    expect(() => imputedBy(impute)).toThrow(message);
  });
});
