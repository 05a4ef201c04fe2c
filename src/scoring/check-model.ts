/** Does a graph fit its manifest, and does it answer the golden vectors? Pure: works on what a session tells. */
import { isItemType, itemTypeOf, isMapType, type FeatureType } from '../features/feature.model.js';
import {
  MODEL_LIMITS,
  numericFill,
  textFill,
  type InputBinding,
  type ModelManifest,
  type ModelOutput,
  type ModelProblem,
  type TensorInfo,
  type TensorType,
} from './model-manifest.model.js';

/** ONNX Runtime's names of the element types, and what a graph's author calls them. */
const RUNTIME_TYPE: Record<TensorType, string> = {
  float: 'float32',
  double: 'float64',
  int64: 'int64',
  string: 'string',
};

const SCORE_TYPES = ['float32', 'float64'];
const LABEL_TYPES = ['string', 'int64', 'int32', 'bool'];
const CLUSTER_TYPES = ['int64', 'int32'];

/** Feature types whose values every tensor type can hold without loss. */
const FITTING_TYPES: Record<TensorType, readonly FeatureType[]> = {
  float: ['int', 'double', 'bool'],
  double: ['int', 'double', 'bool', 'timestamp'],
  int64: ['int', 'bool', 'timestamp'],
  string: ['string', 'bool', 'int'],
};

/** Names, types and shapes of a graph's inputs and outputs against the manifest. */
export function checkGraph(
  manifest: ModelManifest,
  inputs: readonly TensorInfo[],
  outputs: readonly TensorInfo[],
): ModelProblem[] {
  const problems: ModelProblem[] = [];
  manifest.inputs.forEach((input, i) => {
    const where = `inputs[${String(i)}]`;
    const found = inputs.find((info) => info.name === input.tensor);
    if (found === undefined) {
      const message = `the model has no input ${input.tensor}`;
      problems.push({ where: `${where}.tensor`, message, hint: `its inputs are ${describeAll(inputs)}` });
    } else {
      problems.push(...checkInput(where, input, found));
    }
  });
  const bound = new Set(manifest.inputs.map((input) => input.tensor));
  for (const info of inputs.filter((input) => !bound.has(input.name))) {
    const message = `the model's input ${describe(info)} gets no features`;
    problems.push({ where: 'inputs', message, hint: 'add it to inputs, or export the model without it' });
  }
  const { score, label, cluster, embedding } = manifest.outputs;
  if (score !== undefined) problems.push(...checkScore(score, outputs));
  if (label !== undefined) problems.push(...checkOutput('outputs.label', label.output, LABEL_TYPES, outputs));
  if (cluster !== undefined) problems.push(...checkOutput('outputs.cluster', cluster.output, CLUSTER_TYPES, outputs));
  if (embedding !== undefined) problems.push(...checkEmbedding(embedding.output, outputs));
  return problems;
}

function checkInput(where: string, input: InputBinding, info: TensorInfo): ModelProblem[] {
  if (info.type !== RUNTIME_TYPE[input.type]) {
    const message = `${input.tensor} is bound as ${input.type}, but is ${describe(info)} in the model`;
    return [{ where: `${where}.type`, message, hint: 'use float for float32, double for float64, int64 or string' }];
  }
  const [rows, columns] = info.shape;
  const width = input.sequence?.length ?? input.features.length;
  const fits = info.shape.length === 2 ? columns === null || columns === width : info.shape.length === 1 && width === 1;
  if (!fits) {
    const isSequence = input.sequence !== undefined;
    const what = isSequence ? 'items' : 'features';
    const message = `${input.tensor} gets ${String(width)} ${what}, but is ${describe(info)} in the model`;
    const hint = isSequence ? 'give it as many items as it has columns' : 'bind one feature for each column, in order';
    return [{ where: `${where}.${isSequence ? 'sequence.length' : 'features'}`, message, hint }];
  }
  if (rows === null) return [];
  const message = `${input.tensor} takes exactly ${String(rows)} rows`;
  return [
    { where: `${where}.tensor`, message, hint: 'export it with a free first dimension, as FloatTensorType([None, n])' },
  ];
}

function checkScore(score: { output: string; index: number }, outputs: readonly TensorInfo[]): ModelProblem[] {
  const problems = checkOutput('outputs.score', score.output, SCORE_TYPES, outputs);
  const info = outputs.find((output) => output.name === score.output);
  if (problems.length > 0 || info === undefined) return problems;
  const width = info.shape.length === 1 ? 1 : info.shape[1];
  if (typeof width !== 'number' || score.index < width) return [];
  const message = `${describe(info)} has no column ${String(score.index)}`;
  return [{ where: 'outputs.score.index', message, hint: `use 0 to ${String(width - 1)}` }];
}

function checkEmbedding(output: string, outputs: readonly TensorInfo[]): ModelProblem[] {
  const problems = checkOutput('outputs.embedding', output, SCORE_TYPES, outputs);
  const info = outputs.find((each) => each.name === output);
  if (problems.length > 0 || info === undefined) return problems;
  const [, width = null] = info.shape;
  if (info.shape.length === 2 && width !== null && width <= MODEL_LIMITS.maxEmbedding) return [];
  const message = `${describe(info)} is not as wide for every row, or wider than ${String(MODEL_LIMITS.maxEmbedding)}`;
  const hint = 'export it with the shape [rows, numbers], the second of which is fixed';
  return [{ where: 'outputs.embedding.output', message, hint }];
}

function checkOutput(
  where: string,
  name: string,
  types: readonly string[],
  outputs: readonly TensorInfo[],
): ModelProblem[] {
  const info = outputs.find((output) => output.name === name);
  if (info === undefined) {
    const message = `the model has no output ${name}`;
    return [{ where: `${where}.output`, message, hint: `its outputs are ${describeAll(outputs)}` }];
  }
  if (info.type === null) {
    const message = `${name} is a list of dictionaries (ZipMap), not a tensor`;
    return [
      {
        where: `${where}.output`,
        message,
        hint: "export with zipmap=False: to_onnx(model, ..., options={'zipmap': False})",
      },
    ];
  }
  if (types.includes(info.type)) return [];
  const message = `${describe(info)} is not of a type that can be read here`;
  return [{ where: `${where}.output`, message, hint: `map an output of type ${types.join(' or ')}` }];
}

function describe(info: TensorInfo): string {
  if (info.type === null) return `${info.name} (not a tensor)`;
  return `${info.name} (${info.type} [${info.shape.map((size) => (size === null ? '?' : String(size))).join(', ')}])`;
}

function describeAll(infos: readonly TensorInfo[]): string {
  return infos.map(describe).join(', ');
}

/**
 * The manifest's features against the feature registry.
 * @param typeOf type of a registered feature; undefined: there is none of that name
 * @param service features of the registered service of the manifest's name; undefined: there is none
 */
export function checkFeatures(
  manifest: ModelManifest,
  typeOf: (name: string) => FeatureType | undefined,
  service: readonly string[] | undefined,
): ModelProblem[] {
  const problems: ModelProblem[] = [];
  const { name, features } = manifest.featureService;
  if (service !== undefined && service.join() !== features.join()) {
    const message = `differs from the registered feature service ${name}`;
    problems.push({ where: 'featureService.features', message, hint: `it has, in this order, ${service.join(', ')}` });
  }
  features.forEach((feature, i) => {
    if (typeOf(feature) !== undefined) return;
    const message = `there is no feature ${feature}`;
    problems.push({ where: `featureService.features[${String(i)}]`, message, hint: 'apply its definition first' });
  });
  manifest.inputs.forEach((input, i) => {
    input.features.forEach((feature, j) => {
      const type = typeOf(feature);
      const problem = type === undefined ? null : misfit(feature, type, input);
      if (problem !== null) problems.push({ where: `inputs[${String(i)}].features[${String(j)}]`, ...problem });
    });
  });
  return problems;
}

/** Why a feature of this type cannot be bound so; null: it can. */
function misfit(feature: string, type: FeatureType, input: InputBinding): Omit<ModelProblem, 'where'> | null {
  const fitting = FITTING_TYPES[input.type];
  const isOne = isItemType(type);
  const item = isOne ? type : isMapType(type) ? null : itemTypeOf(type);
  if (item === null || !fitting.includes(item)) {
    const message = `${feature} is ${type}, which a ${input.type} tensor cannot hold`;
    return { message, hint: `a ${input.type} tensor takes ${fitting.join(', ')}` };
  }
  if (isOne === (input.sequence === undefined)) return null;
  return isOne
    ? { message: `${feature} is ${type}, not a list`, hint: 'take sequence out, or bind a list' }
    : { message: `${feature} is a list`, hint: 'give it an input of its own, with sequence: { length: 50 }' };
}

/** Whether something fit stands for a missing value of every feature: of the manifest, or of its feature service. */
export function checkFills(manifest: ModelManifest): ModelProblem[] {
  return manifest.inputs.flatMap(({ type, features }) =>
    features.flatMap((name): ModelProblem[] => {
      const where = `fill.${name}`;
      if (type === 'string' && textFill(manifest, name) === undefined) {
        const hint = `say what stands for a missing text, as ${name}: unknown, here or under impute in the service`;
        return [{ where, message: 'a text input has no fill', hint }];
      }
      if (type !== 'int64' || Number.isSafeInteger(numericFill(manifest, name))) return [];
      return [{ where, message: 'an int64 input has no integer for a missing value', hint: `set it, as ${name}: 0` }];
    }),
  );
}

interface GoldenMiss {
  readonly vector: number;
  readonly output: keyof ModelOutput;
  readonly expected: string | number;
  readonly got: string | number | null | undefined;
}

/** What the model answered to the golden vectors, in their order, against what it must answer; null: all is well. */
export function checkGolden(manifest: ModelManifest, answers: readonly ModelOutput[]): ModelProblem | null {
  const misses = manifest.goldenVectors.flatMap((vector, i) =>
    missesOf(manifest, i, vector.expected, answers[i] ?? {}),
  );
  const [first] = misses;
  if (first === undefined) return null;
  const failed = new Set(misses.map((miss) => miss.vector)).size;
  const rows = misses
    .slice(0, 20)
    .map((miss) => [
      String(miss.vector),
      miss.output,
      String(miss.expected),
      String(miss.got ?? 'absent'),
      typeof miss.got === 'number' && typeof miss.expected === 'number'
        ? Math.abs(miss.got - miss.expected).toExponential(1)
        : '',
    ]);
  const table = formatTable([['vector', 'output', 'expected', 'got', 'difference'], ...rows]);
  const total = String(manifest.goldenVectors.length);
  return {
    where: `goldenVectors[${String(first.vector)}].expected.${first.output}`,
    message: `${String(failed)} of ${total} golden vectors are outside the tolerance ${String(manifest.tolerance)}\n${table}\n`,
    hint: 'the features, the fills or the order of columns are not what the model was trained with',
  };
}

function missesOf(manifest: ModelManifest, vector: number, expected: ModelOutput, answer: ModelOutput): GoldenMiss[] {
  const misses: GoldenMiss[] = [];
  for (const output of ['score', 'label', 'cluster'] as const) {
    const want = expected[output];
    const got = answer[output];
    if (want !== undefined && !agrees(manifest, output, want, got))
      misses.push({ vector, output, expected: want, got });
  }
  // Of an embedding the first number that is off says enough.
  const wanted = expected.embedding ?? [];
  const length = Math.max(wanted.length, wanted.length === 0 ? 0 : (answer.embedding?.length ?? 0));
  for (let i = 0; i < length; i++) {
    const want = wanted[i] ?? NaN;
    const got = answer.embedding?.[i];
    if (agrees(manifest, 'score', want, got ?? undefined)) continue;
    misses.push({ vector, output: 'embedding', expected: want, got });
    break;
  }
  return misses;
}

function agrees(
  manifest: ModelManifest,
  output: 'score' | 'label' | 'cluster',
  want: string | number,
  got: string | number | undefined,
): boolean {
  if (output !== 'score' || typeof got !== 'number' || typeof want !== 'number') return got === want;
  return Math.abs(got - want) <= manifest.tolerance * Math.max(1, Math.abs(want));
}

function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => `    ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd()).join('\n');
}
