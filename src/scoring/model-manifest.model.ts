import type { JsonObject } from '../events/event.model.js';
import type { Imputations } from '../features/feature.model.js';
import { imputationOf } from '../features/impute.model.js';

/** Element types of input tensors that features can be bound to. */
export const TENSOR_TYPES = ['float', 'double', 'int64', 'string'] as const;
export type TensorType = (typeof TENSOR_TYPES)[number];

export const MODEL_STAGES = ['shadow', 'canary', 'active', 'retired'] as const;
export type ModelStage = (typeof MODEL_STAGES)[number];

/** Bounds of a manifest and its model. A bound that is exceeded is a MODEL_INVALID or PAYLOAD_TOO_LARGE error. */
export const MODEL_LIMITS = {
  maxModelBytes: 64 * 1024 * 1024,
  maxManifestBytes: 1024 * 1024,
  maxFeatures: 1_000,
  maxInputs: 1_000,
  maxSequence: 1_000,
  maxClassNames: 1_000,
  /** Numbers of an embedding. */
  maxEmbedding: 4_096,
  maxGoldenVectors: 200,
  /** What a graph may take while it is checked and run in a process of its own: weights and values of one run. */
  maxGraphBytes: 1024 * 1024 * 1024,
  /** Of one row, when it is registered, ms. */
  maxOneRowMs: 1_000,
  maxTextLength: 2_000,
} as const;

export const DEFAULT_TOLERANCE = 1e-5;

/** A numeric fill; `'nan'` stands for NaN, which JSON cannot hold, for graphs that impute by themselves. */
export type NumericFill = number | 'nan';

/** One input tensor of the graph and the features that are its columns, in order. */
export interface InputBinding {
  readonly tensor: string;
  readonly type: TensorType;
  readonly features: readonly string[];
  /** The one feature is a list, whose items are the columns; left out: each feature is one column. */
  readonly sequence?: SequenceBinding;
}

/** How a list becomes a row of a tensor. */
export interface SequenceBinding {
  /** Columns. */
  readonly length: number;
  /**
   * Where the feature's fill stands when the list is shorter. Of a longer one the other end is kept: with `left` its last
   * items, with `right` its first.
   */
  readonly pad: SequencePad;
}

export const SEQUENCE_PADS = ['left', 'right'] as const;
export type SequencePad = (typeof SEQUENCE_PADS)[number];

export interface OutputMapping {
  /** A number, as the probability of a class: column `index` of the output. */
  readonly score?: { readonly output: string; readonly index: number };
  /** A class. `names` gives integer classes names: class i is `names[i]`. */
  readonly label?: { readonly output: string; readonly names?: readonly string[] };
  /** The number of a cluster. */
  readonly cluster?: { readonly output: string };
  /** A list of numbers that stands for the row: all columns of the output. */
  readonly embedding?: { readonly output: string };
}

/** What a model says of one row. A field is absent where the manifest does not map it, or the number is not finite. */
export interface ModelOutput {
  readonly score?: number;
  readonly label?: string | number;
  readonly cluster?: number;
  /** As many numbers as the output has columns; those that are not finite are null. */
  readonly embedding?: readonly (number | null)[];
}

/** A feature's value in a golden vector; null: missing. */
export type GoldenValue = GoldenItem | readonly GoldenItem[] | null;
export type GoldenItem = number | string | boolean;

/** A row of named features and what the model must answer to it. */
export interface GoldenVector {
  readonly features: Readonly<Record<string, GoldenValue>>;
  readonly expected: ModelOutput;
}

/**
 * What is registered beside an ONNX file: which features feed which tensors, what stands for a missing value, what
 * the outputs mean, and the rows that prove it. `parse-manifest.ts` makes these from YAML or JSON.
 */
export interface ModelManifest {
  /** `[a-z][a-z0-9_]{0,62}`; what segments and queries call the model by. */
  readonly key: string;
  /** The trainer's own label of this version. The registry numbers versions itself. */
  readonly version: string;
  readonly description: string;
  /** The ordered features that a row holds. */
  readonly featureService: { readonly name: string; readonly features: readonly string[] };
  readonly inputs: readonly InputBinding[];
  /** What a missing value becomes in a numeric tensor. */
  readonly missing: NumericFill;
  /** What it becomes for one feature instead. Every feature in a string tensor has an entry here or in `imputed`. */
  readonly fill: Readonly<Record<string, number | string>>;
  /**
   * What the feature service imputed when the version was registered, for features that `fill` does not name. Not written
   * by whoever registers: a version answers by it whatever the service says later. Left out: nothing.
   */
  readonly imputed?: Imputations;
  readonly outputs: OutputMapping;
  /** Free; shown beside the model. */
  readonly metrics: JsonObject;
  /** What it was trained on, as the manifest of a training set says it; left out: not told. */
  readonly trainingSet?: JsonObject;
  /** How it treats groups of people, by its trainer; left out: not told. */
  readonly fairness?: JsonObject;
  /** Greatest allowed `|got − expected| / max(1, |expected|)` of a score in a golden vector. */
  readonly tolerance: number;
  readonly goldenVectors: readonly GoldenVector[];
  /** Whether edge keys may be told what it says; left out: as of the version before, false for the first. */
  readonly edge?: boolean;
  /** What somebody has to allow to be scored; left out: nothing. Views of its features may ask for more. */
  readonly purposes?: readonly string[];
}

/** One fault of a manifest or of the model beside it. */
export interface ModelProblem {
  /** Path in the manifest, as `inputs[0].features[2]`. */
  readonly where: string;
  readonly message: string;
  readonly hint: string;
}

/** An input or output of a graph. `type` is ONNX Runtime's word (`float32`, `int64`, …); null: not a tensor. */
export interface TensorInfo {
  readonly name: string;
  readonly type: string | null;
  /** A number where the size is fixed, null where it is free. */
  readonly shape: readonly (number | null)[];
}

/** What a loaded graph says of itself. */
export interface GraphFacts {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  /** Version of each set of operators that it uses, by domain; that of standard operators is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>;
  /** Operators that it uses by which the values of a row decide what a run takes, as `Loop`. */
  readonly unboundedOps: readonly string[];
}

/** Time of the processor that a graph takes, ms, as measured when it was registered. */
export interface MeasuredSpeed {
  readonly loadMs: number;
  /** 99th percentile of up to 200 runs of the fewest rows that there are runs of. */
  readonly oneRowP99Ms: number;
  /** Of a row among many. */
  readonly rowMs: number;
}

/** What was found out about a version when it was registered. */
export interface ModelProbe extends GraphFacts {
  readonly bytes: number;
  readonly speed: MeasuredSpeed;
  /**
   * Whether rows that are run together change each other's answers, as where activations are quantised by the largest of a
   * batch. Each row is then run by itself, so that nobody's score depends on who was scored beside them.
   */
  readonly mixesRows: boolean;
  /** Version of the feature service that it was checked against; null: there was none of that name. */
  readonly featureServiceVersion: number | null;
}

/** A version in the registry, without its bytes. */
export interface RegisteredModel {
  readonly key: string;
  /** 1, 2, …, per key. */
  readonly version: number;
  /** SHA-256 of the ONNX bytes, hexadecimal. */
  readonly digest: string;
  readonly stage: ModelStage;
  readonly manifest: ModelManifest;
  /** Whether edge keys, which sit in browsers, may be told what it says while it is active. */
  readonly edge: boolean;
  /** ms */
  readonly createdAt: number;
  /** Null: registered before there was any. */
  readonly probe: ModelProbe | null;
  /** Of all profiles, those that it answers for as a canary, percent, 1 to 99; null: it is none. */
  readonly canaryPercent: number | null;
}

/** A version without its golden vectors, which are most of it, for lists. */
export type ListedModel = Omit<RegisteredModel, 'manifest'> & {
  readonly manifest: Omit<ModelManifest, 'goldenVectors'>;
};

type Fills = Pick<ModelManifest, 'missing' | 'fill' | 'imputed'>;

/** The manifest with what the service imputes for features that it has no fill for. */
export function withImputed(manifest: ModelManifest, impute: Imputations | undefined): ModelManifest {
  const taken = manifest.featureService.features.flatMap((name) => {
    const imputation = manifest.fill[name] === undefined ? imputationOf(impute, name) : undefined;
    return imputation === undefined ? [] : [[name, imputation] as const];
  });
  return taken.length === 0 ? manifest : { ...manifest, imputed: Object.fromEntries(taken) };
}

/** The number that stands for a missing value of a feature in a numeric tensor; truth values count as 1 and 0. */
export function numericFill(manifest: Fills, feature: string): number {
  const fill = manifest.fill[feature] ?? imputationOf(manifest.imputed, feature)?.value ?? manifest.missing;
  if (typeof fill === 'boolean') return fill ? 1 : 0;
  return typeof fill === 'number' ? fill : Number.NaN;
}

/** The text that stands for a missing value in a text tensor; undefined: none does. */
export function textFill(manifest: Fills, feature: string): string | undefined {
  const fill = manifest.fill[feature] ?? imputationOf(manifest.imputed, feature)?.value;
  return fill === undefined ? undefined : String(fill);
}
