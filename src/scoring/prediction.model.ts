import type { FeatureValue } from '../features/feature.model.js';
import type { ModelOutput } from './model-manifest.model.js';

/** The values of a model's features, in the order of its feature service ({@link ModelFace.features}). */
export type FeatureRow = readonly FeatureValue[];

/** Whether a model saw what it asked for: all features present, some, or none (the others were filled). */
export const INPUT_STATUSES = ['COMPLETE', 'PARTIAL', 'ABSENT'] as const;
export type InputStatus = (typeof INPUT_STATUSES)[number];

/** What callers may know of a loaded model. */
export interface ModelFace {
  readonly key: string;
  readonly version: number;
  readonly digest: string;
  /** What a row holds, in order. */
  readonly features: readonly string[];
}

/** What scorers know a version by: the active one by the key of the model, a canary by this. No key has such a sign. */
export function canaryName(key: string): string {
  return `${key}${CANARY}`;
}

const CANARY = '@canary';

/** A version that answers for some of the profiles; asked by {@link canaryName}. */
export interface CanaryFace extends ModelFace {
  /** Above 0 and below 1. */
  readonly share: number;
}

/** A model's answer, with what it rests on. */
export interface Prediction extends ModelOutput {
  readonly modelKey: string;
  readonly version: number;
  readonly digest: string;
  /** The instant that the features were read for, ms. */
  readonly asOf: number;
  /** The next instant, ms, at which time alone can change an input, and so the answer; Infinity if never. */
  readonly validUntil: number;
  readonly inputs: InputStatus;
}

/**
 * What the pipeline and the resolvers are handed. An answer is a function of the model's digest, the manifest and the
 * row alone, to the last bit: which rows were scored together never shows.
 */
export interface RowScorer {
  /** The active models, by key. */
  readonly models: ReadonlyMap<string, ModelFace>;
  /** The versions beside them, by key of the model, each with its share of the profiles. */
  readonly canaries: ReadonlyMap<string, CanaryFace>;
  /**
   * One prediction a row, in order; null where there is none, because the model failed on the row or cannot be asked now.
   * @param asOf the instant that each row was read for, ms; one a row
   * @throws WeftError NOT_FOUND if no version of the model is active; BAD_REQUEST if a row has the wrong length.
   */
  predict(modelKey: string, rows: readonly FeatureRow[], asOf: readonly number[]): Promise<(Prediction | null)[]>;
}

/** A version by what it is asked by. */
export function faceOf(
  { models, canaries }: Pick<RowScorer, 'models' | 'canaries'>,
  name: string,
): ModelFace | undefined {
  return models.get(name) ?? (name.endsWith(CANARY) ? canaries.get(name.slice(0, -CANARY.length)) : undefined);
}

export function predictionOf(model: ModelFace, row: FeatureRow, output: ModelOutput, asOf: number): Prediction {
  const prediction: { -readonly [Name in keyof Prediction]: Prediction[Name] } = {
    modelKey: model.key,
    version: model.version,
    digest: model.digest,
    asOf,
    validUntil: validUntilOf(row),
    inputs: inputStatusOf(row),
  };
  // Spreading the output instead costs 3 µs a row.
  if (output.score !== undefined) prediction.score = output.score;
  if (output.label !== undefined) prediction.label = output.label;
  if (output.cluster !== undefined) prediction.cluster = output.cluster;
  if (output.embedding !== undefined) prediction.embedding = output.embedding;
  return prediction;
}

/** The least `validUntil` of the inputs: absent ones count, since time can bring them back into a window's edge. */
export function validUntilOf(row: FeatureRow): number {
  let least = Number.POSITIVE_INFINITY;
  for (const feature of row) if (feature.validUntil < least) least = feature.validUntil;
  return least;
}

export function inputStatusOf(row: FeatureRow): InputStatus {
  let present = 0;
  for (const feature of row) if (feature.status === 'PRESENT') present++;
  if (present === row.length) return 'COMPLETE';
  return present === 0 ? 'ABSENT' : 'PARTIAL';
}
