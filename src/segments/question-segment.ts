import {
  questionAboutGroupTrait,
  questionAboutTrait,
  questionsAbout,
  type KnownNames,
  type Question,
} from '../features/feature-questions.model.js';
import { nearestName } from '../platform/near-names.js';
import type { Warning } from '../platform/warning.js';
import type { OutputMapping } from '../scoring/model-manifest.model.js';
import { positionOf } from './expression-error.js';
import { parseSegment, type ParsedSegment } from './parse-segment.js';
import type { SegmentRule } from './segment-rule.model.js';
import type { SegmentSchema } from './segment-schema.model.js';
import { childrenOf, isGroupTrait, type Expression, type ModelExpression } from './segment-expression.model.js';

/** What has been sent so far, and what models can say. */
export interface KnownToSegments extends KnownNames {
  /** Outputs of the active models, by key. */
  readonly models: ReadonlyMap<string, OutputMapping>;
}

/**
 * Those in either condition of a rule; `where` is `exit line:column` for the exit condition.
 * @throws WeftError EXPRESSION_INVALID
 */
export function questionRule(
  { expression, exitExpression }: Pick<SegmentRule, 'expression' | 'exitExpression'>,
  schema: SegmentSchema,
  known: KnownToSegments,
): Warning[] {
  const warnings = questionSegment(parseSegment(expression, schema), known);
  if (exitExpression === null) return warnings;
  const atExit = questionSegment(parseSegment(exitExpression, schema), known);
  return [...warnings, ...atExit.map((warning) => ({ ...warning, where: `exit ${warning.where}` }))];
}

/**
 * The names in a segment that are well formed, and yet nothing has sent them so far, or no model gives them: with such
 * a name the segment is valid and probably empty for ever. `where` is `line:column`.
 */
export function questionSegment({ source, expression }: ParsedSegment, known: KnownToSegments): Warning[] {
  const warnings = new Map<string, Warning>();
  const ask = (node: Expression, question: Question | undefined): void => {
    if (question === undefined || warnings.has(question.message)) return;
    const { message, hint, name } = question;
    const at = source.indexOf(name, node.start);
    const where = positionOf(source, at === -1 || at >= node.end ? node.start : at);
    warnings.set(message, { message, where, hint });
  };
  const visit = (node: Expression): void => {
    if ('feature' in node && node.feature.inline !== null) {
      for (const question of questionsAbout(node.feature.inline, known)) ask(node, question);
    } else if (node.kind === 'trait') {
      ask(node, questionAboutTrait(node.name, known));
    } else if (isGroupTrait(node)) {
      ask(node, questionAboutGroupTrait(node.key, known));
    } else if (node.kind === 'model') {
      ask(node, questionAboutOutput(node, known.models));
    }
    for (const { model, label } of labelsIn(node)) ask(node, questionAboutLabel(model, label, known.models));
    childrenOf(node).forEach(visit);
  };
  visit(expression);
  return [...warnings.values()];
}

/** The texts that a node compares the label of a model with. */
function labelsIn(node: Expression): { readonly model: string; readonly label: string }[] {
  if (node.kind === 'compare') {
    const { left, right } = node;
    return [...labelPairs(left, [right]), ...labelPairs(right, [left])];
  }
  return node.kind === 'in' && node.container.kind === 'list' ? labelPairs(node.item, node.container.items) : [];
}

function labelPairs(
  of: Expression,
  texts: readonly Expression[],
): { readonly model: string; readonly label: string }[] {
  if (of.kind !== 'model' || of.output !== 'label') return [];
  return texts.flatMap((text) =>
    text.kind === 'literal' && typeof text.value === 'string' ? [{ model: of.key, label: text.value }] : [],
  );
}

function questionAboutOutput(
  { key, output }: ModelExpression,
  models: KnownToSegments['models'],
): Question | undefined {
  const outputs = models.get(key);
  if (outputs === undefined || outputs[output] !== undefined) return undefined;
  const given = (['score', 'label', 'cluster'] as const).filter((name) => outputs[name] !== undefined);
  return {
    name: key,
    message: `the model ${key} gives no ${output}`,
    hint: `ask for its ${given.map((name) => `${name}("${key}")`).join(' or ')}`,
  };
}

function questionAboutLabel(key: string, label: string, models: KnownToSegments['models']): Question | undefined {
  const names = models.get(key)?.label?.names;
  if (names === undefined || names.includes(label)) return undefined;
  const near = nearestName(label, names);
  return {
    name: label,
    message: `the model ${key} has no label "${label}"`,
    hint: near === undefined ? `its labels are ${names.join(', ')}` : `did you mean "${near}"?`,
  };
}
