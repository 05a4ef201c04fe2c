import { WeftError } from '../platform/errors.js';
import {
  isItemType,
  type FeatureService,
  type FeatureType,
  type FeatureView,
  type Imputation,
  type Imputations,
} from './feature.model.js';

/** Whether features of a type can have a value that stands for missing ones, and this is one. */
export function fitsType(value: unknown, type: FeatureType): boolean {
  if (!isItemType(type)) return false;
  if (type === 'string') return typeof value === 'string';
  if (type === 'bool') return typeof value === 'boolean';
  return type === 'timestamp' ? Number.isSafeInteger(value) : Number.isFinite(value);
}

/** What stands for a feature where it has no value; undefined: nothing does. */
export function imputationOf(imputed: Imputations | undefined, feature: string): Imputation | undefined {
  return imputed !== undefined && Object.hasOwn(imputed, feature) ? imputed[feature] : undefined;
}

/** @throws WeftError DEFINITION_INVALID for a service that imputes what its feature cannot be */
export function checkImputations(
  views: readonly Pick<FeatureView, 'features'>[],
  services: readonly FeatureService[],
): void {
  const imputing = services.filter(({ impute }) => impute !== undefined);
  if (imputing.length === 0) return;
  const types = new Map(views.flatMap(({ features }) => features.map(({ name, type }) => [name, type])));
  for (const { name, impute = {} } of imputing) {
    for (const [feature, { value, statistic }] of Object.entries(impute)) {
      const type = types.get(feature);
      if (type === undefined) continue;
      if (!isItemType(type)) throw cannotImpute(name, feature, `${feature} is ${type}`, 'impute plain values alone');
      const isOfNumbers = type === 'int' || type === 'double' || type === 'timestamp';
      if (statistic !== undefined && statistic !== 'most_frequent' && !isOfNumbers) {
        throw cannotImpute(name, feature, `${feature} is ${type} and has no ${statistic}`, 'use most_frequent');
      }
      if (!fitsType(value, type)) {
        throw cannotImpute(name, feature, `what is imputed for ${feature} is not of type ${type}`, hintOf(type));
      }
    }
  }
}

function hintOf(type: FeatureType): string {
  if (type === 'string') return 'write a text, in quotes if it looks like a number';
  if (type === 'bool') return 'write true or false';
  return type === 'timestamp' ? 'write ms since 1970' : 'write a number';
}

function cannotImpute(service: string, feature: string, what: string, hint: string): WeftError {
  return new WeftError('DEFINITION_INVALID', `service ${service}: ${what}`, {
    where: `${service}.impute.${feature}`,
    hint,
  });
}
