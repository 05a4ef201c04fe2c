/**
 * Feature rows to input tensors, and output tensors to answers. Pure: knows no runtime.
 *
 * Invariants:
 *  1. Column j of an input is its j-th feature, whatever the order of the service.
 *  2. A value that is absent, null, or not of the tensor's kind becomes the manifest's fill, never an error: a row is
 *     always scored. Kinds are compared with the feature registry when a model is registered.
 *     So is each item of a list that is bound as a sequence; where there is no list, all are.
 *  3. Row i of every answer depends on row i of the inputs alone; the number of rows goes in as the first dimension.
 */
import { isList, type FeatureValue } from '../features/feature.model.js';
import {
  numericFill,
  textFill,
  type GoldenVector,
  type InputBinding,
  type ModelManifest,
  type ModelOutput,
  type SequenceBinding,
  type TensorType,
} from './model-manifest.model.js';
import type { FeatureRow } from './prediction.model.js';

/** Row-major data of a tensor and its dimensions. */
export type TensorData =
  | { readonly type: 'float'; readonly data: Float32Array; readonly dims: readonly number[] }
  | { readonly type: 'double'; readonly data: Float64Array; readonly dims: readonly number[] }
  | { readonly type: 'int64'; readonly data: BigInt64Array; readonly dims: readonly number[] }
  | { readonly type: 'string'; readonly data: string[]; readonly dims: readonly number[] };

/** Input name to tensor. */
export type Feeds = Readonly<Record<string, TensorData>>;

/** An output tensor as a runtime hands it over. */
export interface OutputData {
  readonly data: ArrayLike<number | bigint | string | boolean>;
  readonly dims: readonly number[];
}

interface BoundInput {
  readonly tensor: string;
  readonly type: TensorType;
  /** Positions in the row. */
  readonly columns: readonly number[];
  readonly fills: readonly (number | string)[];
  /** Null: each column is a feature. */
  readonly sequence: SequenceBinding | null;
  /** 2: `[rows, columns]`; 1: `[rows]`. */
  readonly rank: 1 | 2;
}

export interface FeatureBinding {
  readonly inputs: readonly BoundInput[];
  readonly outputs: ModelManifest['outputs'];
}

/**
 * @param rankOf rank of an input of the graph, by name
 */
export function compileBinding(manifest: ModelManifest, rankOf: (tensor: string) => 1 | 2): FeatureBinding {
  const position = new Map(manifest.featureService.features.map((name, i) => [name, i]));
  const fillOf = (input: InputBinding, name: string): number | string =>
    input.type === 'string' ? (textFill(manifest, name) ?? '') : numericFill(manifest, name);
  return {
    inputs: manifest.inputs.map((input) => ({
      tensor: input.tensor,
      type: input.type,
      columns: input.features.map((name) => position.get(name) ?? -1),
      fills: input.features.map((name) => fillOf(input, name)),
      sequence: input.sequence ?? null,
      rank: rankOf(input.tensor),
    })),
    outputs: manifest.outputs,
  };
}

/** Rows `from` (inclusive) to `to` (exclusive) as input tensors. */
export function bindRows(binding: FeatureBinding, rows: readonly FeatureRow[], from: number, to: number): Feeds {
  const feeds: Record<string, TensorData> = {};
  for (const input of binding.inputs) feeds[input.tensor] = bindInput(input, rows, from, to);
  return feeds;
}

function bindInput(input: BoundInput, rows: readonly FeatureRow[], from: number, to: number): TensorData {
  const width = input.sequence?.length ?? input.columns.length;
  const dims = input.rank === 1 ? [to - from] : [to - from, width];
  const size = (to - from) * width;
  switch (input.type) {
    case 'float':
      return { type: 'float', data: fillCells(new Float32Array(size), input, rows, from, asNumber), dims };
    case 'double':
      return { type: 'double', data: fillCells(new Float64Array(size), input, rows, from, asNumber), dims };
    case 'int64':
      return { type: 'int64', data: fillCells(new BigInt64Array(size), input, rows, from, asInteger), dims };
    case 'string':
      return { type: 'string', data: fillCells(new Array<string>(size), input, rows, from, asText), dims };
  }
}

function fillCells<Cell, Cells extends { [index: number]: Cell; readonly length: number }>(
  cells: Cells,
  input: BoundInput,
  rows: readonly FeatureRow[],
  from: number,
  read: (value: FeatureValue | undefined, fill: number | string) => Cell,
): Cells {
  if (input.sequence !== null) return fillSequences(cells, input, input.sequence, rows, from, read);
  const { columns, fills } = input;
  const width = columns.length;
  for (let cell = 0, i = from; cell < cells.length; i++) {
    const row = rows[i];
    for (let j = 0; j < width; j++, cell++) {
      cells[cell] = read(row?.[columns[j] as number], fills[j] as number | string);
    }
  }
  return cells;
}

function fillSequences<Cell, Cells extends { [index: number]: Cell; readonly length: number }>(
  cells: Cells,
  { columns, fills }: BoundInput,
  { length, pad }: SequenceBinding,
  rows: readonly FeatureRow[],
  from: number,
  read: (value: FeatureValue | undefined, fill: number | string) => Cell,
): Cells {
  const column = columns[0] ?? -1;
  const fill = fills[0] ?? 0;
  for (let cell = 0, i = from; cell < cells.length; i++) {
    const feature = rows[i]?.[column];
    const items = feature?.status === 'PRESENT' && isList(feature.value) ? feature.value : [];
    // Index of the item that stands in the first column; negative where the columns before it are padding.
    const first = pad === 'left' ? items.length - length : 0;
    for (let j = 0; j < length; j++, cell++) {
      const value = items[first + j];
      cells[cell] = read(feature === undefined || value === undefined ? undefined : { ...feature, value }, fill);
    }
  }
  return cells;
}

function asNumber(feature: FeatureValue | undefined, fill: number | string): number {
  if (feature?.status === 'PRESENT') {
    const { value } = feature;
    if (typeof value === 'number') return value;
    if (typeof value === 'boolean') return value ? 1 : 0;
  }
  return fill as number;
}

function asInteger(feature: FeatureValue | undefined, fill: number | string): bigint {
  const number = asNumber(feature, fill);
  return BigInt(Number.isSafeInteger(number) ? number : fill);
}

function asText(feature: FeatureValue | undefined, fill: number | string): string {
  if (feature?.status === 'PRESENT' && feature.value !== null && typeof feature.value !== 'object') {
    return String(feature.value);
  }
  return fill as string;
}

/** Answers to `rows` rows out of the tensors that a run gave. */
export function readOutputs(
  binding: FeatureBinding,
  tensors: Readonly<Record<string, OutputData>>,
  rows: number,
): ModelOutput[] {
  const { score, label, cluster, embedding } = binding.outputs;
  const scores = score === undefined ? undefined : cellReader(tensors, score.output, rows, score.index);
  const labels = label === undefined ? undefined : cellReader(tensors, label.output, rows, 0);
  const clusters = cluster === undefined ? undefined : cellReader(tensors, cluster.output, rows, 0);
  const vectors = embedding === undefined ? undefined : rowReader(tensors, embedding.output, rows);
  const answers = new Array<ModelOutput>(rows);
  for (let i = 0; i < rows; i++) {
    const answer: { -readonly [Name in keyof ModelOutput]: ModelOutput[Name] } = {};
    const scoreCell = scores?.(i);
    if (scoreCell !== undefined && Number.isFinite(Number(scoreCell))) answer.score = Number(scoreCell);
    const labelCell = labels?.(i);
    if (labelCell !== undefined) answer.label = classOf(labelCell, label?.names);
    const clusterCell = clusters?.(i);
    if (clusterCell !== undefined) answer.cluster = Number(clusterCell);
    const vector = vectors?.(i);
    if (vector !== undefined) answer.embedding = vector;
    answers[i] = answer;
  }
  return answers;
}

type Cell = number | bigint | string | boolean;

/** Reads column `index` of an output of shape `[rows]` or `[rows, columns]`. */
function cellReader(
  tensors: Readonly<Record<string, OutputData>>,
  output: string,
  rows: number,
  index: number,
): (row: number) => Cell | undefined {
  const tensor = tensors[output];
  if (tensor === undefined) return () => undefined;
  const width = rows === 0 ? 0 : tensor.data.length / rows;
  return index < width ? (row) => tensor.data[row * width + index] : () => undefined;
}

/** Reads all columns of an output of shape `[rows, columns]`. */
function rowReader(
  tensors: Readonly<Record<string, OutputData>>,
  output: string,
  rows: number,
): (row: number) => (number | null)[] | undefined {
  const tensor = tensors[output];
  if (tensor === undefined || rows === 0) return () => undefined;
  const width = tensor.data.length / rows;
  return (row) =>
    Array.from({ length: width }, (_, column) => {
      const cell = Number(tensor.data[row * width + column]);
      return Number.isFinite(cell) ? cell : null;
    });
}

function classOf(cell: Cell, names: readonly string[] | undefined): string | number {
  if (typeof cell === 'string') return cell;
  const number = Number(cell);
  return names?.[number] ?? number;
}

/** A golden vector's features as a row, in the order of the service. */
export function goldenRow(features: readonly string[], vector: GoldenVector): FeatureRow {
  return features.map((name) => {
    const value = vector.features[name] ?? null;
    const status = value === null ? 'NOT_FOUND' : 'PRESENT';
    return { status, value, eventTs: null, validUntil: Number.POSITIVE_INFINITY, approximate: false };
  });
}
