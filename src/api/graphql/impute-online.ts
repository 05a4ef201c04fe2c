import type { Imputations } from '../../features/feature.model.js';
import { imputationOf } from '../../features/impute.model.js';
import { WeftError } from '../../platform/errors.js';
import type { ApiDefinitions } from '../api-definitions.model.js';
import { valueOf, type FeatureView } from './profile-view.js';

/**
 * What a service imputes, where that is asked for; null: it is not.
 * @throws WeftError BAD_REQUEST without a service
 */
export function imputationsAsked(
  { services }: Pick<ApiDefinitions, 'services'>,
  service: string | null | undefined,
  isAsked: boolean,
): Imputations | null {
  if (!isAsked) return null;
  if (typeof service === 'string') return services.get(service)?.impute ?? {};
  throw new WeftError('BAD_REQUEST', 'what is imputed is said by a feature service, and none is named', {
    where: 'imputed',
    hint: 'ask for the features of a service, or leave imputed out',
  });
}

/** The feature or, where it has no value, with what stands for it; the status stays. What is withheld stays so. */
export function withImputed(feature: FeatureView, impute: Imputations | null): FeatureView {
  if (impute === null || feature.value !== null || feature.status === 'WITHHELD') return feature;
  const imputation = imputationOf(impute, feature.name);
  return imputation === undefined
    ? feature
    : { ...feature, value: valueOf({ value: imputation.value }, feature.type), imputed: true };
}
