import { durationHint, durationMs } from '../platform/duration.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { nearestName } from '../platform/near-names.js';
import type { YamlValue } from '../platform/yaml-file.js';
import type { FeatureExpectation, FeatureExpectations } from './expectation.model.js';

const FIELDS = [
  'min',
  'max',
  'null_share',
  'distinct_min',
  'fresh',
  'psi',
  'ks',
  'against',
  'steady',
  'steady_live',
  'on_load',
];
const MAX_DISTINCT = 50_000;
const MAX_DURATION_LENGTH = 20;
const MAX_NAME_LENGTH = 63;
const ON_LOAD = ['warn', 'stop'] as const;

/**
 * Reads what a view expects of its features.
 * @param features names of those that it defines
 * @param isOfItems whether it is about another entity than people
 */
export function readExpectations(
  item: YamlValue | undefined,
  features: readonly string[],
  isOfItems = false,
): FeatureExpectations {
  const expectations: Record<string, FeatureExpectation> = {};
  for (const [name, value] of item?.entries('what is expected') ?? []) {
    if (!features.includes(name)) {
      const near = nearestName(name, features);
      value.problem(
        `the view has no feature ${name.slice(0, 100)}`,
        near === undefined ? 'expect something of features of this view' : `did you mean ${near}?`,
      );
      continue;
    }
    const expectation = readExpectation(value, isOfItems);
    if (expectation !== undefined) expectations[name] = expectation;
  }
  return expectations;
}

function readExpectation(item: YamlValue, isOfItems: boolean): FeatureExpectation | undefined {
  const fields = item.fields('an expectation', FIELDS);
  if (fields === undefined) return undefined;
  const numbers = {
    min: readNumber(fields.get('min'), 'the least number', -Infinity, Infinity),
    max: readNumber(fields.get('max'), 'the greatest number', -Infinity, Infinity),
    null_share: readNumber(fields.get('null_share'), 'the share without a value', 0, 1),
    distinct_min: fields.get('distinct_min')?.integer('the least number of different values', 1, MAX_DISTINCT),
    psi: readNumber(fields.get('psi'), 'the index', 0, 100),
    ks: readNumber(fields.get('ks'), 'the statistic', 0, 1),
  };
  const fresh = readAge(fields.get('fresh'));
  const against = readAgainst(fields.get('against'));
  if (against !== undefined && numbers.psi === undefined && numbers.ks === undefined) {
    fields.get('against')?.problem('nothing is compared with it', 'give psi or ks, as in psi: 0.25');
  }
  const onLoad = fields.get('on_load')?.oneOf('what a load does', ON_LOAD);
  const steadyLive = fields.get('steady_live')?.bool('steady_live');
  if (isOfItems && steadyLive === true) {
    const hint = 'write steady: true, which looks at them every hour';
    fields.get('steady_live')?.problem('live traffic is followed of features of people alone', hint);
  }
  const steady = fields.get('steady')?.bool('steady');
  if (numbers.min !== undefined && numbers.max !== undefined && numbers.min > numbers.max) {
    fields.get('max')?.problem('the greatest number is less than the least', 'make max no less than min');
  }
  const given = Object.entries(numbers).filter(([, value]) => value !== undefined);
  return {
    ...(Object.fromEntries(given) as FeatureExpectation),
    ...(fresh === undefined ? {} : { fresh }),
    ...(onLoad === undefined ? {} : { on_load: onLoad }),
    ...(against === undefined ? {} : { against }),
    ...(steadyLive === true ? { steady_live: steadyLive } : {}),
    ...(steady === true ? { steady } : {}),
  };
}

function readNumber(item: YamlValue | undefined, what: string, least: number, most: number): number | undefined {
  if (item === undefined) return undefined;
  const value = item.scalar;
  if (typeof value === 'number' && Number.isFinite(value) && value >= least && value <= most) return value;
  const range = Number.isFinite(least) ? ` from ${String(least)} to ${String(most)}` : '';
  return item.problem(`${what} is no number${range}`, `write one${range}, as in 0.05`);
}

function readAgainst(item: YamlValue | undefined): string | undefined {
  const name = item?.text('the training set', MAX_NAME_LENGTH);
  return name === undefined || isKey(name) ? name : item?.problem(`${name} is no name of a training set`, KEY_HINT);
}

function readAge(item: YamlValue | undefined): string | undefined {
  const text = item?.text('the age', MAX_DURATION_LENGTH);
  if (item === undefined || text === undefined) return undefined;
  try {
    durationMs(text);
    return text;
  } catch {
    return item.problem(`"${text}" is no length of time`, durationHint(text));
  }
}
