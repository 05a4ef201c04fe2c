import type { JsonObject, JsonValue } from '../events/event.model.js';
import type { FeatureDefinition, FeatureValue } from '../features/feature.model.js';
import type { FeatureRow, Prediction } from '../scoring/prediction.model.js';

/**
 * What a model's answer owes to each feature: the model is asked once more for each, with that feature at a value of
 * reference and all others as they are, and the difference is the feature's. One feature at a time: what two features do
 * only together shows in both, and the differences need not add up to the score.
 */
export interface ExplainedModel {
  readonly key: string;
  readonly version: number;
  readonly score: number | null;
  readonly label: string | null;
  readonly cluster: number | null;
  /** Those that change the answer most at the front. */
  readonly contributions: readonly FeatureContribution[];
  /** Features that were not asked about, because there are too many. */
  readonly leftOut: number;
}

export interface FeatureContribution {
  readonly feature: string;
  readonly value: JsonValue;
  /** What took its place; null: it was missing, and the model's own filling took it. */
  readonly reference: JsonValue;
  readonly referenceFrom: ReferenceOrigin;
  /** The score, less what it is at the reference; null where the model gives none. */
  readonly contribution: number | null;
  /** What the model says at the reference; null where it gives none. */
  readonly label: string | null;
  readonly cluster: number | null;
}

/** `training`: the median, or the most frequent value, of what the model was trained on. */
export const REFERENCE_ORIGINS = ['training', 'missing'] as const;
export type ReferenceOrigin = (typeof REFERENCE_ORIGINS)[number];

/** Features of one model that are asked about at most: as many rows more are scored. */
export const MAX_ABLATED = 200;

const MISSING: FeatureValue = {
  status: 'NOT_FOUND',
  value: null,
  eventTs: null,
  validUntil: Infinity,
  approximate: false,
};

interface AblationAsk {
  readonly key: string;
  readonly version: number;
  /** In the order of the model's service. */
  readonly features: readonly Pick<FeatureDefinition, 'name' | 'type'>[];
  readonly row: FeatureRow;
  /** As the manifest of the version has it; undefined: not told. */
  readonly trainingSet: JsonObject | undefined;
  readonly score: (rows: readonly FeatureRow[]) => Promise<readonly (Prediction | null)[]>;
}

/** All rows are scored in one go; what the model does not answer is null. */
export async function ablate({
  key,
  version,
  features,
  row,
  trainingSet,
  score,
}: AblationAsk): Promise<ExplainedModel> {
  const asked = features.slice(0, MAX_ABLATED);
  const medians = referencesIn(trainingSet);
  const references = asked.map(({ name, type }) => referenceOf(medians.get(name), type));
  const rows = references.map((reference, i) =>
    row.map((value, at) =>
      at === i ? (reference === null ? MISSING : { ...MISSING, status: 'PRESENT' as const, value: reference }) : value,
    ),
  );
  const [base, ...without] = await score([row, ...rows]);
  const contributions = asked.map(({ name }, i): FeatureContribution => {
    const other = without[i];
    const isScored = base?.score !== undefined && other?.score !== undefined;
    return {
      feature: name,
      value: (row[i]?.value ?? null) as JsonValue,
      reference: references[i] ?? null,
      referenceFrom: references[i] == null ? 'missing' : 'training',
      contribution: isScored ? base.score - other.score : null,
      label: textOf(other?.label),
      cluster: other?.cluster ?? null,
    };
  });
  const weight = ({ contribution, label, cluster }: FeatureContribution): number => {
    const isOther = label !== textOf(base?.label) || cluster !== (base?.cluster ?? null);
    return Math.abs(contribution ?? 0) + (isOther ? 1 : 0);
  };
  return {
    ...{ key, version, score: base?.score ?? null, label: textOf(base?.label), cluster: base?.cluster ?? null },
    contributions: contributions.sort((a, b) => weight(b) - weight(a) || (a.feature < b.feature ? -1 : 1)),
    leftOut: features.length - asked.length,
  };
}

function textOf(label: string | number | undefined): string | null {
  return label === undefined ? null : String(label);
}

interface Reference {
  readonly median: number | null;
  readonly mostFrequent: string | null;
}

/** By feature, of the statistics that the manifest of a training set has; whatever else it holds is passed over. */
function referencesIn(trainingSet: JsonObject | undefined): Map<string, Reference> {
  const found = new Map<string, Reference>();
  const features = objectOf(trainingSet?.['statistics'])?.['features'];
  for (const each of Array.isArray(features) ? features : []) {
    const statistics = objectOf(objectOf(each)?.['statistics']);
    const feature = statistics?.['feature'];
    if (typeof feature !== 'string') continue;
    const quantiles = objectOf(statistics?.['numbers'])?.['quantiles'];
    const half = (Array.isArray(quantiles) ? quantiles : []).map(objectOf).find((quantile) => quantile?.['p'] === 0.5);
    const topValues = statistics?.['topValues'];
    const top = objectOf(Array.isArray(topValues) ? topValues[0] : undefined)?.['value'];
    const median = half?.['value'];
    found.set(feature, {
      median: typeof median === 'number' && Number.isFinite(median) ? median : null,
      mostFrequent: typeof top === 'string' ? top : null,
    });
  }
  return found;
}

function objectOf(value: JsonValue | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
}

function referenceOf(
  reference: Reference | undefined,
  type: FeatureDefinition['type'],
): number | string | boolean | null {
  if (reference === undefined) return null;
  const { median, mostFrequent } = reference;
  switch (type) {
    case 'int':
    case 'timestamp':
      return median === null ? null : Math.round(median);
    case 'double':
      return median;
    case 'string':
      return mostFrequent;
    case 'bool':
      return mostFrequent === null ? null : mostFrequent === 'true';
    default:
      return null;
  }
}
