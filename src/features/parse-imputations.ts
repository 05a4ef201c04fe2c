import type { YamlValue } from '../platform/yaml-file.js';
import { IMPUTE_STATISTICS, type Imputation, type Imputations, type Item } from './feature.model.js';

const MAX_IMPUTED_TEXT = 200;
const FIELDS = ['statistic', 'value', 'of'];
const SHA256 = /^[0-9a-f]{64}$/;
const SHA256_LENGTH = 64;
const VALUE_HINT = 'write a number, a text, true or false';

/**
 * What a service says of missing values: `total: 0`, or `total: { statistic: median, value: 12.5 }`.
 *
 * @param features those that the service lists
 */
export function readImputations(item: YamlValue | undefined, features: ReadonlySet<string>): Imputations {
  const imputed: Record<string, Imputation> = {};
  for (const [name, entry] of item?.entries('impute') ?? []) {
    if (!features.has(name)) {
      entry.problem(`the service has no feature ${name.slice(0, 100)} to impute`, 'list it under features first');
      continue;
    }
    const read = readImputation(entry);
    if (read !== undefined) imputed[name] = read;
  }
  return imputed;
}

function readImputation(item: YamlValue): Imputation | undefined {
  if (item.scalar !== undefined) {
    const value = readValue(item);
    return value === undefined ? undefined : { value };
  }
  const fields = item.fields('what is imputed', FIELDS);
  if (fields === undefined) return undefined;
  const statistic = fields.get('statistic')?.oneOf('the statistic', IMPUTE_STATISTICS);
  const of = fields.get('of')?.text('of', SHA256_LENGTH);
  const value = readValue(fields.get('value') ?? item);
  if (of !== undefined && !SHA256.test(of)) {
    fields.get('of')?.problem('of is no SHA-256', 'give the 64 hexadecimal digits that the export wrote');
  }
  if (value === undefined) return undefined;
  return { value, ...(statistic === undefined ? {} : { statistic }), ...(of === undefined ? {} : { of }) };
}

function readValue(item: YamlValue): Item | undefined {
  const value = item.scalar;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value !== 'string' || value.includes('\0')) return item.problem('there is no value to impute', VALUE_HINT);
  if (value.length <= MAX_IMPUTED_TEXT) return value;
  return item.problem('the text to impute is too long', `use at most ${String(MAX_IMPUTED_TEXT)} characters`);
}
