import { createHash } from 'node:crypto';
import { z } from 'zod';
import { WeftError } from '../../platform/errors.js';
import {
  COLUMN_KINDS,
  DEFAULT_PRIOR,
  DEFAULT_RECALL,
  DEFAULT_THRESHOLDS,
  type BlockingRule,
  type Comparison,
  type ComparisonLevel,
  type LinkageModel,
  type TermFrequencies,
  type TermKey,
} from './linkage-model.model.js';
import { at, schemaError } from './model-errors.js';
import { parseCondition } from './parse-condition.js';
import { readKeyRule, readSqlRule } from './read-blocking-rule.js';
import { isSplinkSettings, readSplinkSettings } from './read-splink-settings.js';

export const MODEL_FORMAT = 'weft-linkage-1';

/** Bounds of what one model may hold. */
const MAX_COMPARISONS = 50;
const MAX_LEVELS = 30;
const MAX_RULES = 50;
const MAX_TERMS = 5_000_000;

const name = z.string().min(1).max(200);
const sql = z.string().min(1).max(10_000);
const probability = z.number().gt(0).lt(1);
const share = z.number().min(0).max(1);

const ruleSchema = z.union([
  sql,
  z.strictObject({ on: z.array(sql).min(1).max(10), lists: z.array(name).max(10).optional() }),
  z.strictObject({ sql, lists: z.array(name).max(10).optional() }),
]);

const levelSchema = z.strictObject({
  when: sql,
  label: z.string().max(200).optional(),
  isNull: z.boolean().optional(),
  m: share.nullable().optional(),
  u: share.nullable().optional(),
  isMFixed: z.boolean().optional(),
  isUFixed: z.boolean().optional(),
  termFrequency: z
    .strictObject({
      column: name,
      weight: share.optional(),
      minimumU: share.optional(),
      isOwnU: z.boolean().optional(),
    })
    .optional(),
});

const modelSchema = z.strictObject({
  format: z.literal(MODEL_FORMAT),
  version: z.string().optional(),
  textUnits: z.enum(['characters', 'bytes']).optional(),
  columns: z
    .array(z.strictObject({ name, kind: z.enum(COLUMN_KINDS), from: z.array(name).min(1).max(20) }))
    .max(200)
    .nullable()
    .optional(),
  prior: probability.optional(),
  comparisons: z
    .array(z.strictObject({ name, levels: z.array(levelSchema).min(2).max(MAX_LEVELS) }))
    .min(1)
    .max(MAX_COMPARISONS),
  blocking: z.array(ruleSchema).min(1).max(MAX_RULES),
  training: z
    .strictObject({
      deterministic: z.array(ruleSchema).max(MAX_RULES).optional(),
      recall: z.number().gt(0).max(1).optional(),
      passes: z.array(ruleSchema).max(MAX_RULES).optional(),
    })
    .optional(),
  termFrequencies: z
    .record(
      name,
      z.strictObject({
        total: z.int().min(0),
        counts: z.record(z.string(), z.int().min(1)),
        isKeyed: z.literal(true).optional(),
      }),
    )
    .optional(),
  thresholds: z.strictObject({ link: share, review: share }).optional(),
});
type ModelJson = z.infer<typeof modelSchema>;
type RuleJson = z.infer<typeof ruleSchema>;

/**
 * Reads a model, or settings that are to be trained: ours, or what Splink saves.
 * @param text JSON
 * @param file how messages call it
 * @param keysOf of models that an installation stores: what stands for values of a column in its frequencies
 * @throws WeftError MODEL_INVALID that says where it is wrong and what to write
 */
export function readLinkageModel(text: string, file: string, keysOf?: (column: string) => TermKey): LinkageModel {
  const json = parseJson(text, file);
  try {
    if (isSplinkSettings(json)) return withVersion(readSplinkSettings(json));
    const parsed = modelSchema.safeParse(json);
    if (!parsed.success) throw schemaError(parsed.error);
    return withVersion(modelOf(parsed.data, keysOf));
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    const { message, where, hint } = error;
    throw new WeftError('MODEL_INVALID', message, {
      where: where === undefined ? file : `${file}: ${where}`,
      ...(hint === undefined ? {} : { hint }),
      cause: error,
    });
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WeftError('MODEL_INVALID', 'it is no JSON', {
      where: file,
      hint: 'a model is a JSON file; docs/identity.md describes it',
      cause: error,
    });
  }
}

function modelOf(json: ModelJson, keysOf: ((column: string) => TermKey) | undefined): Omit<LinkageModel, 'version'> {
  const { training = {}, thresholds = DEFAULT_THRESHOLDS } = json;
  const columns = json.columns ?? null;
  if (thresholds.review > thresholds.link) {
    throw new WeftError('MODEL_INVALID', 'pairs would be linked that are below the threshold of review', {
      where: 'thresholds',
      hint: 'let review be at most link',
    });
  }
  return {
    textUnits: json.textUnits ?? 'characters',
    columns,
    prior: json.prior ?? DEFAULT_PRIOR,
    comparisons: json.comparisons.map((comparison, i) => comparisonOf(comparison, `comparisons.${i}`)),
    blockingRules: rulesOf(json.blocking, 'blocking'),
    training: {
      deterministicRules: rulesOf(training.deterministic ?? [], 'training.deterministic'),
      recall: training.recall ?? DEFAULT_RECALL,
      passes: rulesOf(training.passes ?? [], 'training.passes'),
    },
    termFrequencies: frequenciesOf(json.termFrequencies ?? {}, keysOf),
    thresholds,
  };
}

function rulesOf(rules: readonly RuleJson[], where: string): BlockingRule[] {
  return rules.map((rule, i) =>
    at(`${where}.${i}`, () => {
      if (typeof rule === 'string') return readSqlRule(rule);
      return 'on' in rule ? readKeyRule(rule.on, rule.lists) : readSqlRule(rule.sql, rule.lists);
    }),
  );
}

function comparisonOf({ name: named, levels }: ModelJson['comparisons'][number], where: string): Comparison {
  return { name: named, levels: levels.map((level, i) => levelOf(level, `${where}.levels.${i}.when`)) };
}

function levelOf({ when, label, termFrequency, ...json }: z.infer<typeof levelSchema>, where: string): ComparisonLevel {
  return {
    condition: at(where, () => parseCondition(when)),
    text: when,
    label: label ?? when,
    isNull: json.isNull ?? false,
    m: json.m ?? null,
    u: json.u ?? null,
    isMFixed: json.isMFixed ?? false,
    isUFixed: json.isUFixed ?? false,
    termFrequency:
      termFrequency === undefined
        ? null
        : { column: termFrequency.column, weight: termFrequency.weight ?? 1, minimumU: termFrequency.minimumU ?? 0 },
    isOwnU: termFrequency?.isOwnU ?? false,
  };
}

function frequenciesOf(
  json: NonNullable<ModelJson['termFrequencies']>,
  keysOf?: (column: string) => TermKey,
): Map<string, TermFrequencies> {
  let terms = 0;
  return new Map(
    Object.entries(json).map(([column, { total, counts, isKeyed }]) => {
      if (isKeyed === true && keysOf === undefined) {
        throw new WeftError('MODEL_INVALID', 'its frequencies are of hashes that one installation alone can tell', {
          where: `termFrequencies.${column}`,
          hint: 'use the file that weft identity train wrote',
        });
      }
      terms += Object.keys(counts).length;
      if (terms > MAX_TERMS) {
        throw new WeftError('MODEL_INVALID', `there are more than ${MAX_TERMS} term frequencies`, {
          where: 'termFrequencies',
          hint: 'leave out the columns whose values hardly ever occur twice',
        });
      }
      const keyOf = isKeyed === true ? keysOf?.(column) : undefined;
      return [column, { total, counts: new Map(Object.entries(counts)), ...(keyOf === undefined ? {} : { keyOf }) }];
    }),
  );
}

/** The model with the version that its content gives it. */
export function withVersion(model: Omit<LinkageModel, 'version'>): LinkageModel {
  const text = JSON.stringify(contentOf(model));
  return { ...model, version: createHash('sha256').update(text).digest('hex') };
}

/** The model as a file that {@link readLinkageModel} reads. */
export function writeLinkageModel(model: LinkageModel): string {
  const { format, ...content } = contentOf(model);
  return `${JSON.stringify({ format, version: model.version, ...content }, null, 2)}\n`;
}

function contentOf(model: Omit<LinkageModel, 'version'>) {
  return {
    format: MODEL_FORMAT,
    textUnits: model.textUnits,
    columns: model.columns,
    prior: model.prior,
    comparisons: model.comparisons.map(({ name: named, levels }) => ({
      name: named,
      levels: levels.map(levelJson),
    })),
    blocking: model.blockingRules.map(ruleJson),
    training: {
      deterministic: model.training.deterministicRules.map(ruleJson),
      recall: model.training.recall,
      passes: model.training.passes.map(ruleJson),
    },
    termFrequencies: Object.fromEntries(
      [...model.termFrequencies].map(([column, { total, counts, keyOf }]) => [
        column,
        { total, counts: Object.fromEntries(counts), ...(keyOf === undefined ? {} : { isKeyed: true }) },
      ]),
    ),
    thresholds: model.thresholds,
  };
}

function levelJson({
  text,
  label,
  termFrequency,
  isNull,
  m,
  u,
  ...level
}: ComparisonLevel): z.infer<typeof levelSchema> {
  return {
    when: text,
    ...(label === text ? {} : { label }),
    ...(isNull ? { isNull } : { m, u }),
    ...(level.isMFixed ? { isMFixed: true } : {}),
    ...(level.isUFixed ? { isUFixed: true } : {}),
    ...(termFrequency === null
      ? {}
      : { termFrequency: { ...termFrequency, ...(level.isOwnU ? { isOwnU: true } : {}) } }),
  };
}

function ruleJson({ source, listColumns }: BlockingRule): RuleJson {
  if (typeof source !== 'string')
    return { on: [...source], ...(listColumns.length > 0 ? { lists: [...listColumns] } : {}) };
  return listColumns.length > 0 ? { sql: source, lists: [...listColumns] } : source;
}
