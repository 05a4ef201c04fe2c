import { z } from 'zod';
import {
  DEFAULT_PRIOR,
  DEFAULT_RECALL,
  DEFAULT_THRESHOLDS,
  type BlockingRule,
  type Comparison,
  type ComparisonLevel,
  type LinkageModel,
} from './linkage-model.model.js';
import { at, schemaError } from './model-errors.js';
import { parseCondition } from './parse-condition.js';
import { readSqlRule } from './read-blocking-rule.js';

/**
 * Settings and models as Splink 3 to 5 save them. What does not decide on weights or pairs (labels of charts, columns
 * to keep, prefixes) is not read. A level that was never observed in training has no probability there and gets its
 * default, as there.
 */
const levelSchema = z.object({
  sql_condition: z.string().max(10_000),
  label_for_charts: z.string().nullish(),
  is_null_level: z.boolean().nullish(),
  m_probability: z.number().min(0).max(1).nullish(),
  u_probability: z.number().min(0).max(1).nullish(),
  fix_m_probability: z.boolean().nullish(),
  fix_u_probability: z.boolean().nullish(),
  tf_adjustment_column: z.string().nullish(),
  tf_adjustment_weight: z.number().min(0).nullish(),
  tf_minimum_u_value: z.number().min(0).nullish(),
  disable_tf_exact_match_detection: z.boolean().nullish(),
});

const ruleSchema = z.union([
  z.string(),
  z.object({
    blocking_rule: z.string(),
    sql_dialect: z.string().nullish(),
    arrays_to_explode: z.array(z.string()).nullish(),
  }),
]);

const settingsSchema = z.object({
  sql_dialect: z.string().nullish(),
  probability_two_random_records_match: z.number().gt(0).lt(1).nullish(),
  comparisons: z
    .array(
      z.object({
        output_column_name: z.string().nullish(),
        comparison_levels: z.array(levelSchema).min(1).max(50),
      }),
    )
    .min(1)
    .max(100),
  blocking_rules_to_generate_predictions: z.array(ruleSchema).max(100).nullish(),
});
type LevelJson = z.infer<typeof levelSchema>;
type RuleJson = z.infer<typeof ruleSchema>;

export function isSplinkSettings(json: unknown): boolean {
  const { comparisons } = (json ?? {}) as { comparisons?: unknown };
  return (
    Array.isArray(comparisons) &&
    comparisons.some((each) => typeof each === 'object' && each !== null && 'comparison_levels' in each)
  );
}

/** @throws WeftError MODEL_INVALID that says where, and what conditions may say */
export function readSplinkSettings(json: unknown): Omit<LinkageModel, 'version'> {
  const parsed = settingsSchema.safeParse(json);
  if (!parsed.success) throw schemaError(parsed.error);
  const { sql_dialect: dialect, comparisons, blocking_rules_to_generate_predictions: rules, ...settings } = parsed.data;
  const blockingRules = (rules ?? []).map((rule, i) =>
    at(`blocking_rules_to_generate_predictions.${i}`, () => ruleOf(rule)),
  );
  return {
    textUnits: (dialect ?? dialectOf(rules ?? [])) === 'duckdb' ? 'bytes' : 'characters',
    columns: null,
    prior: settings.probability_two_random_records_match ?? DEFAULT_PRIOR,
    comparisons: comparisons.map(({ output_column_name: name, comparison_levels: levels }, i): Comparison => ({
      name: name ?? `comparison ${i + 1}`,
      levels: levels.map((level, j) => at(`comparisons.${i}.comparison_levels.${j}`, () => levelOf(level))),
    })),
    blockingRules,
    training: { deterministicRules: [], recall: DEFAULT_RECALL, passes: [] },
    termFrequencies: new Map(),
    thresholds: DEFAULT_THRESHOLDS,
  };
}

function dialectOf(rules: readonly RuleJson[]): string | null {
  for (const rule of rules) if (typeof rule !== 'string' && rule.sql_dialect != null) return rule.sql_dialect;
  return null;
}

function ruleOf(rule: RuleJson): BlockingRule {
  if (typeof rule === 'string') return readSqlRule(rule);
  return readSqlRule(rule.blocking_rule, (rule.arrays_to_explode ?? []).map(unquoted));
}

function levelOf(json: LevelJson): ComparisonLevel {
  const { sql_condition: text, tf_adjustment_column: column } = json;
  return {
    condition: parseCondition(text),
    text,
    label: json.label_for_charts ?? text,
    isNull: json.is_null_level ?? false,
    m: json.m_probability ?? null,
    u: json.u_probability ?? null,
    isMFixed: json.fix_m_probability ?? false,
    isUFixed: json.fix_u_probability ?? false,
    termFrequency:
      column == null
        ? null
        : {
            column: unquoted(column),
            weight: json.tf_adjustment_weight ?? 1,
            minimumU: json.tf_minimum_u_value ?? 0,
          },
    isOwnU: json.disable_tf_exact_match_detection ?? false,
  };
}

function unquoted(name: string): string {
  const inner = /^"(.*)"$|^`(.*)`$/.exec(name);
  return (inner?.[1] ?? inner?.[2] ?? name).replaceAll('""', '"');
}
