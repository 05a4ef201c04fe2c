import { nearestName } from '../platform/near-names.js';
import type { YamlValue } from '../platform/yaml-file.js';
import type { FeatureDefinition } from './feature.model.js';
import { readSearchable, type WrittenFeature } from './parse-feature.js';
import { MAX_NAME_LENGTH } from './parse-option.js';

/** Features of a view with the definitions that their ratios are computed from; ratios of what is not there go. */
export function withParts(written: readonly WrittenFeature[]): FeatureDefinition[] {
  const byName = new Map(written.map(({ definition }) => [definition.name, definition]));
  return written.map((feature) => withOwnParts(feature, byName)).filter((definition) => definition !== undefined);
}

function withOwnParts(
  { definition, fields }: WrittenFeature,
  byName: ReadonlyMap<string, FeatureDefinition>,
): FeatureDefinition | undefined {
  if (definition.aggregate !== 'ratio') return definition;
  const numerator = readPart(fields.get('numerator'), byName);
  const denominator = readPart(fields.get('denominator'), byName);
  if (numerator === undefined || denominator === undefined) return undefined;
  const whole = { ...definition, options: { numerator, denominator } };
  readSearchable(fields.get('searchable'), whole);
  return whole;
}

function readPart(
  item: YamlValue | undefined,
  byName: ReadonlyMap<string, FeatureDefinition>,
): FeatureDefinition | undefined {
  const name = item?.text('the name of a feature', MAX_NAME_LENGTH);
  if (item === undefined || name === undefined) return undefined;
  const part = byName.get(name);
  if (part === undefined) {
    const near = nearestName(name, byName.keys());
    const hint = near === undefined ? 'a ratio is of two features of one view' : `did you mean ${near}?`;
    return item.problem(`this view has no feature ${name}`, hint);
  }
  if (part.aggregate !== 'ratio' && (part.type === 'int' || part.type === 'double')) {
    // What it is called in words, and who is found by it, changes nothing of the ratio.
    return { ...part, description: '', searchable: false };
  }
  const what = part.aggregate === 'ratio' ? 'a ratio itself' : `of type ${part.type}`;
  return item.problem(`${name} is ${what}`, 'a ratio is of two numbers that are no ratios');
}
