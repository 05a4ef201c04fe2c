import type { JsonObject } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { YamlText } from '../platform/yaml-text.js';
import { MAX_NEEDED_PURPOSES } from '../profiles/purpose.model.js';
import { FieldChecker } from './manifest-fields.js';
import {
  DEFAULT_TOLERANCE,
  MODEL_LIMITS,
  SEQUENCE_PADS,
  TENSOR_TYPES,
  type GoldenItem,
  type GoldenValue,
  type GoldenVector,
  type InputBinding,
  type ModelManifest,
  type ModelOutput,
  type ModelProblem,
  type NumericFill,
  type OutputMapping,
  type SequenceBinding,
  type TensorType,
} from './model-manifest.model.js';

const FIELDS = [
  'key',
  'version',
  'description',
  'featureService',
  'inputs',
  'missing',
  'fill',
  'outputs',
  'metrics',
  'trainingSet',
  'fairness',
  'tolerance',
  'goldenVectors',
  'edge',
  'purposes',
];

/** Problems told at most; the number of the others is told. */
const MAX_PROBLEMS = 50;

/** One MODEL_INVALID error that tells the problems; its `where` and `hint` are the first one's. */
export function modelInvalid(problems: readonly ModelProblem[]): WeftError {
  const count = problems.length;
  const lines = problems
    .slice(0, MAX_PROBLEMS)
    .map((problem) => `${problem.where}: ${problem.message} (${problem.hint})`);
  if (count > MAX_PROBLEMS) lines.push(`and ${String(count - MAX_PROBLEMS)} more`);
  const message = count > 1 ? `${String(count)} problems:\n  ${lines.join('\n  ')}` : lines.join('');
  const [first] = problems;
  return new WeftError('MODEL_INVALID', message, first === undefined ? {} : { where: first.where, hint: first.hint });
}

/**
 * Reads a manifest from YAML or JSON text.
 * @throws WeftError MODEL_INVALID with every problem at once; PAYLOAD_TOO_LARGE over `maxManifestBytes`.
 */
export function parseManifest(text: string): ModelManifest {
  if (Buffer.byteLength(text) > MODEL_LIMITS.maxManifestBytes) {
    throw new WeftError('PAYLOAD_TOO_LARGE', `a manifest has at most ${String(MODEL_LIMITS.maxManifestBytes)} bytes`, {
      where: 'manifest',
      hint: 'keep fewer golden vectors',
    });
  }
  const yaml = new YamlText(text);
  if (yaml.faults.length > 0) {
    throw modelInvalid(
      yaml.faults.map(({ offset, message }) => {
        const { line, col } = yaml.position(offset);
        return { where: `line ${String(line)}, column ${String(col)}`, message, hint: 'write valid YAML or JSON' };
      }),
    );
  }
  return readManifest(yaml.toJs());
}

/**
 * Checks a manifest that is parsed already, as one that came over GraphQL.
 * @throws WeftError MODEL_INVALID with every problem at once.
 */
export function readManifest(value: unknown): ModelManifest {
  const check = new FieldChecker();
  const fields = check.object(value, 'manifest');
  check.known(fields, '', FIELDS);
  const featureService = readFeatureService(check, fields['featureService']);
  const inputs = readInputs(check, fields['inputs'], featureService.features);
  const missing = readNumericFill(check, fields['missing'], 'missing');
  const fill = readFill(check, fields['fill'], inputs);
  checkKindsOfInputs(check, inputs);
  const outputs = readOutputs(check, fields['outputs']);
  const { description, tolerance, edge, purposes } = fields;
  if (edge !== undefined && typeof edge !== 'boolean')
    check.problem('edge', 'is not true or false', 'write edge: true');
  const manifest: ModelManifest = {
    key: check.name(fields['key'], 'key'),
    version: check.text(fields['version'], 'version', 100),
    description: description === undefined ? '' : check.text(description, 'description', MODEL_LIMITS.maxTextLength),
    featureService,
    inputs,
    missing,
    fill,
    outputs,
    metrics: readFree(check, fields['metrics'], 'metrics') ?? {},
    ...given('trainingSet', readFree(check, fields['trainingSet'], 'trainingSet')),
    ...given('fairness', readFree(check, fields['fairness'], 'fairness')),
    tolerance: tolerance === undefined ? DEFAULT_TOLERANCE : readTolerance(check, tolerance),
    goldenVectors: readGoldenVectors(check, fields['goldenVectors'], featureService.features, outputs),
    ...(typeof edge === 'boolean' ? { edge } : {}),
    ...(purposes === undefined ? {} : { purposes: check.names(purposes, 'purposes', MAX_NEEDED_PURPOSES) }),
  };
  if (check.problems.length > 0) throw modelInvalid(check.problems);
  return manifest;
}

function readFeatureService(check: FieldChecker, value: unknown): ModelManifest['featureService'] {
  const fields = check.object(value, 'featureService');
  check.known(fields, 'featureService', ['name', 'features']);
  return {
    name: check.name(fields['name'], 'featureService.name'),
    features: check.names(fields['features'], 'featureService.features', MODEL_LIMITS.maxFeatures),
  };
}

function readInputs(check: FieldChecker, value: unknown, service: readonly string[]): InputBinding[] {
  const inputs = check
    .list(value, 'inputs', MODEL_LIMITS.maxInputs)
    .map((item, i) => readInput(check, item, `inputs[${String(i)}]`, service));
  const tensors = inputs.map((input) => input.tensor);
  check.unique(tensors, (i) => `inputs[${String(i)}].tensor`);
  const bound = new Set(inputs.flatMap((input) => input.features));
  const unbound = service.filter((name) => !bound.has(name));
  if (inputs.length > 0 && unbound.length > 0) {
    check.problem(
      'inputs',
      `no input reads ${unbound.join(', ')}`,
      'bind every feature of the service, or drop it there',
    );
  }
  return inputs;
}

function readInput(check: FieldChecker, value: unknown, where: string, service: readonly string[]): InputBinding {
  const fields = check.object(value, where);
  check.known(fields, where, ['tensor', 'type', 'features', 'sequence']);
  const tensor = check.text(fields['tensor'], `${where}.tensor`, 200);
  const type = fields['type'];
  if (!isTensorType(type)) {
    check.problem(`${where}.type`, 'is not a tensor type', `use one of ${TENSOR_TYPES.join(', ')}`);
  }
  const features =
    fields['features'] === undefined
      ? service
      : check.names(fields['features'], `${where}.features`, MODEL_LIMITS.maxFeatures);
  features.forEach((name, i) => {
    if (name === '' || service.includes(name)) return;
    check.problem(`${where}.features[${String(i)}]`, `${name} is not in the feature service`, 'add it there first');
  });
  const input = { tensor, type: isTensorType(type) ? type : 'float', features } as const;
  if (fields['sequence'] === undefined) return input;
  if (features.length !== 1)
    check.problem(`${where}.features`, 'are not one feature', 'bind each list to an input of its own');
  return { ...input, sequence: readSequence(check, fields['sequence'], `${where}.sequence`) };
}

function readSequence(check: FieldChecker, value: unknown, where: string): SequenceBinding {
  const fields = check.object(value, where);
  check.known(fields, where, ['length', 'pad']);
  const length = check.integer(fields['length'], `${where}.length`, MODEL_LIMITS.maxSequence);
  if (length === 0) check.problem(`${where}.length`, 'is 0', 'say how many columns the input has');
  const pad = fields['pad'] ?? 'left';
  if (pad === 'left' || pad === 'right') return { length, pad };
  check.problem(`${where}.pad`, 'is not a side', `use ${SEQUENCE_PADS.join(' or ')}`);
  return { length, pad: 'left' };
}

function isTensorType(value: unknown): value is TensorType {
  return TENSOR_TYPES.includes(value as TensorType);
}

function readNumericFill(check: FieldChecker, value: unknown, where: string): NumericFill {
  if (value === 'nan' || Number.isNaN(value)) return 'nan';
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  const hint = 'say what stands for a missing value: a number such as 0, or nan if the graph imputes';
  check.problem(where, value === undefined ? 'is missing' : 'is not a number', hint);
  return 0;
}

/** Whether a fill is a text or a number follows from the tensors that its feature is bound to. */
function readFill(
  check: FieldChecker,
  value: unknown,
  inputs: readonly InputBinding[],
): Record<string, number | string> {
  const fill: Record<string, number | string> = {};
  for (const [name, raw] of Object.entries(value === undefined ? {} : check.object(value, 'fill'))) {
    const where = `fill.${name}`;
    const bound = inputs.filter((input) => input.features.includes(name));
    if (bound.length === 0) {
      check.problem(where, 'is not the fill of a bound feature', 'name a feature that an input reads');
    } else if (bound.some((input) => input.type === 'string')) {
      fill[name] = raw === '' ? '' : check.text(raw, where, 200);
    } else {
      fill[name] = readNumericFill(check, raw, where);
    }
  }
  return fill;
}

function checkKindsOfInputs(check: FieldChecker, inputs: readonly InputBinding[]): void {
  const texts = new Set(inputs.filter((input) => input.type === 'string').flatMap((input) => input.features));
  inputs.forEach((input, i) => {
    for (const name of input.features.filter((feature) => feature !== '')) {
      if (input.type !== 'string' && texts.has(name)) {
        const where = `inputs[${String(i)}].features`;
        check.problem(
          where,
          `${name} is read as a number here and as a text elsewhere`,
          'bind it to inputs of one kind',
        );
      }
    }
  });
}

function readOutputs(check: FieldChecker, value: unknown): OutputMapping {
  const fields = check.object(value, 'outputs');
  check.known(fields, 'outputs', ['score', 'label', 'cluster', 'embedding']);
  if (Object.keys(fields).length === 0) {
    check.problem(
      'outputs',
      'maps nothing',
      'map score, label, cluster or embedding, as score: { output: probabilities, index: 1 }',
    );
  }
  const outputs: { -readonly [Name in keyof OutputMapping]: OutputMapping[Name] } = {};
  const { score, label, cluster, embedding } = fields;
  if (score !== undefined) {
    const { output, index } = readOutput(check, score, 'outputs.score', ['output', 'index']);
    outputs.score = { output, index: index === undefined ? 0 : check.integer(index, 'outputs.score.index', 100_000) };
  }
  if (label !== undefined) {
    const { output, names } = readOutput(check, label, 'outputs.label', ['output', 'names']);
    outputs.label = names === undefined ? { output } : { output, names: readClassNames(check, names) };
  }
  if (cluster !== undefined)
    outputs.cluster = { output: readOutput(check, cluster, 'outputs.cluster', ['output']).output };
  if (embedding !== undefined)
    outputs.embedding = { output: readOutput(check, embedding, 'outputs.embedding', ['output']).output };
  return outputs;
}

function readOutput(check: FieldChecker, value: unknown, where: string, allowed: readonly string[]) {
  const fields = check.object(value, where);
  check.known(fields, where, allowed);
  return {
    output: check.text(fields['output'], `${where}.output`, 200),
    index: fields['index'],
    names: fields['names'],
  };
}

function readClassNames(check: FieldChecker, value: unknown): string[] {
  return check
    .list(value, 'outputs.label.names', MODEL_LIMITS.maxClassNames)
    .map((name, i) => check.text(name, `outputs.label.names[${String(i)}]`, 200));
}

/** What says nothing to Weft and is kept as it is; undefined where there is none. */
function readFree(check: FieldChecker, value: unknown, where: string): JsonObject | undefined {
  if (value === undefined) return undefined;
  const fields = check.object(value, where);
  const text = JSON.stringify(fields);
  if (text.includes('\\u0000')) check.problem(where, 'holds a NUL character', 'remove it');
  // Through JSON, so that what is kept is what a database or a client can hold: NaN becomes null.
  return JSON.parse(text) as JsonObject;
}

function given(name: 'trainingSet' | 'fairness', value: JsonObject | undefined): Partial<ModelManifest> {
  return value === undefined ? {} : { [name]: value };
}

function readTolerance(check: FieldChecker, value: unknown): number {
  if (typeof value === 'number' && value >= 0 && value <= 1) return value;
  check.problem('tolerance', 'is not a number from 0 to 1', `leave it out for ${String(DEFAULT_TOLERANCE)}`);
  return DEFAULT_TOLERANCE;
}

function readGoldenVectors(
  check: FieldChecker,
  value: unknown,
  service: readonly string[],
  outputs: OutputMapping,
): GoldenVector[] {
  const vectors = check.list(value, 'goldenVectors', MODEL_LIMITS.maxGoldenVectors).map((item, i) => {
    const where = `goldenVectors[${String(i)}]`;
    const fields = check.object(item, where);
    check.known(fields, where, ['features', 'expected']);
    return {
      features: readGoldenFeatures(check, fields['features'], `${where}.features`, service),
      expected: readExpected(check, fields['expected'], `${where}.expected`, outputs),
    };
  });
  for (const name of ['score', 'label', 'cluster', 'embedding'] as const) {
    if (outputs[name] === undefined || vectors.length === 0) continue;
    if (vectors.some((vector) => vector.expected[name] !== undefined)) continue;
    check.problem(
      'goldenVectors',
      `none expects ${name === 'embedding' ? 'an' : 'a'} ${name}`,
      `expect it in at least one, or drop outputs.${name}`,
    );
  }
  return vectors;
}

function readGoldenFeatures(check: FieldChecker, value: unknown, where: string, service: readonly string[]) {
  const fields = check.object(value, where);
  check.known(fields, where, service);
  const features: Record<string, GoldenValue> = {};
  for (const name of service) {
    const feature = fields[name];
    if (feature === undefined) {
      check.problem(`${where}.${name}`, 'is missing', 'give a value, or null for a missing one');
    } else if (isGoldenValue(feature)) {
      features[name] = feature;
    } else {
      const hint = 'give a finite number, a text, true, false, null, or a list of such';
      check.problem(`${where}.${name}`, 'is not a plain value', hint);
    }
  }
  return features;
}

function isGoldenValue(value: unknown): value is GoldenValue {
  if (value === null) return true;
  return Array.isArray(value)
    ? value.length <= MODEL_LIMITS.maxSequence && value.every(isGoldenItem)
    : isGoldenItem(value);
}

function isGoldenItem(value: unknown): value is GoldenItem {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value === 'boolean' || (typeof value === 'string' && !value.includes('\0'));
}

function isEmbedding(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= MODEL_LIMITS.maxEmbedding && value.every(Number.isFinite);
}

function readExpected(check: FieldChecker, value: unknown, where: string, outputs: OutputMapping): ModelOutput {
  const fields = check.object(value, where);
  check.known(fields, where, Object.keys(outputs));
  const expected: { -readonly [Name in keyof ModelOutput]: ModelOutput[Name] } = {};
  const { score, label, cluster, embedding } = fields;
  if (typeof score === 'number' && Number.isFinite(score)) expected.score = score;
  else if (score !== undefined) check.problem(`${where}.score`, 'is not a finite number', 'give the number');
  if (typeof label === 'string' || Number.isSafeInteger(label)) expected.label = label as string | number;
  else if (label !== undefined) check.problem(`${where}.label`, 'is not a class', 'give a text or a whole number');
  if (Number.isSafeInteger(cluster)) expected.cluster = cluster as number;
  else if (cluster !== undefined) check.problem(`${where}.cluster`, 'is not a whole number', 'give the cluster number');
  if (isEmbedding(embedding)) expected.embedding = embedding;
  else if (embedding !== undefined)
    check.problem(`${where}.embedding`, 'is not a list of finite numbers', 'give all of its numbers');
  if (Object.keys(expected).length === 0 && Object.keys(fields).length === 0) {
    check.problem(where, 'expects nothing', 'give what the model must answer, as score: 0.42');
  }
  return expected;
}
