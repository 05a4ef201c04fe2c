import { Environment, ParseError, type ASTNode } from '@marcbachmann/cel-js';
import type { FeatureDefinition } from '../features/feature.model.js';
import { explainSyntax } from '../features/syntax-hint.model.js';
import type { WeftError } from '../platform/errors.js';
import { GROUPS } from '../profiles/groups.model.js';
import { ExpressionChecker } from './check-expression.js';
import { expressionError } from './expression-error.js';
import { childrenOf, isGroupTrait, type Expression, type FeatureReference } from './segment-expression.model.js';
import type { SegmentSchema } from './segment-schema.model.js';

export const MAX_EXPRESSION_LENGTH = 4000;
export const MAX_EXPRESSION_NODES = 200;
const MAX_DEPTH = 50;

/** What an expression reads. All lists are sorted and without repeats. */
export interface SegmentRequirements {
  /** Registered features. */
  readonly features: readonly string[];
  /** Features that the expression defines itself; to be kept like registered ones for as long as the segment stands. */
  readonly inlineFeatures: readonly FeatureDefinition[];
  /** {@link GROUPS} among them where it reads groups. */
  readonly traits: readonly string[];
  /** Traits of groups. */
  readonly groupTraits: readonly string[];
  readonly models: readonly string[];
  readonly segments: readonly string[];
  /** Whose consent it asks about. */
  readonly purposes: readonly string[];
  /** Lists that it asks about, by key. */
  readonly lists: readonly string[];
  /** Names of samples. */
  readonly samples: readonly string[];
}

/** A segment's conditions, parsed and type-checked. */
export interface ParsedSegment {
  /** Of the expression. */
  readonly source: string;
  readonly expression: Expression;
  /** Null: there is no exit condition. */
  readonly exit: Expression | null;
  /** What either reads. */
  readonly requires: SegmentRequirements;
}

/** Only parses; types, functions and evaluation are Weft's own, so that absent values cost no exception. */
const parser = new Environment({ limits: { maxAstNodes: MAX_EXPRESSION_NODES, maxDepth: MAX_DEPTH } });

/**
 * Parses and type-checks a segment's expression (`docs/segments.md` has the language).
 * @throws WeftError EXPRESSION_INVALID with `where` as `line:column`.
 */
export function parseSegment(source: string, schema: SegmentSchema): ParsedSegment {
  const expression = new ExpressionChecker(source, schema).root(parseTree(source, 'split it by segment("key")'));
  return { source, expression, exit: null, requires: requirementsOf(expression) };
}

/**
 * @param splitHint what to do with one that is too large
 * @throws WeftError EXPRESSION_INVALID
 */
export function parseTree(source: string, splitHint: string): ASTNode {
  if (source.length > MAX_EXPRESSION_LENGTH) {
    const size = `${String(source.length)} characters, at most ${String(MAX_EXPRESSION_LENGTH)} are allowed`;
    throw expressionError(source, MAX_EXPRESSION_LENGTH, `the expression has ${size}`, splitHint);
  }
  if (source.trim() === '') throw expressionError(source, 0, 'the expression is empty', 'write a condition');
  try {
    return parser.parse(source).ast;
  } catch (error) {
    if (error instanceof ParseError) throw syntaxError(source, error, splitHint);
    throw error;
  }
}

const TOKEN_TEXT: Readonly<Record<string, string>> = {
  EOF: 'the end of the text',
  LPAREN: '(',
  RPAREN: ')',
  LBRACKET: '[',
  RBRACKET: ']',
  LBRACE: '{',
  RBRACE: '}',
  DOT: '.',
  COMMA: ',',
  COLON: ':',
  QUESTION: '?',
  AND: '&&',
  OR: '||',
  NOT: '!',
  IN: 'in',
  EQ: '==',
  NE: '!=',
  LT: '<',
  LE: '<=',
  GT: '>',
  GE: '>=',
  PLUS: '+',
  MINUS: '-',
  MULTIPLY: '*',
  DIVIDE: '/',
  MODULO: '%',
  IDENTIFIER: 'a name',
  NUMBER: 'a number',
  STRING: 'a text',
  BOOLEAN: 'true or false',
  NULL: 'null',
  BYTES: 'bytes',
};

const EXAMPLE = 'a condition looks like f.orders_30d >= 3 && traits.country == "AT"';

function syntaxError(source: string, error: ParseError, splitHint: string): WeftError {
  const offset = error.range?.start ?? 0;
  if (error.code === 'limit_exceeded') {
    const what = error.summary.includes('maxDepth')
      ? `nested deeper than ${String(MAX_DEPTH)}`
      : `larger than ${String(MAX_EXPRESSION_NODES)} nodes`;
    return expressionError(source, offset, `the expression is ${what}`, splitHint);
  }
  const message = error.summary
    .replace(/\b[A-Z]{2,}\b/g, (token) => TOKEN_TEXT[token] ?? token)
    .replace(/^./, (letter) => letter.toLowerCase());
  const fault = explainSyntax(source, offset, message, EXAMPLE);
  return expressionError(source, fault.offset, fault.message, fault.hint);
}

function requirementsOf(root: Expression): SegmentRequirements {
  const features = new Set<string>();
  const inline = new Map<string, FeatureDefinition>();
  const traits = new Set<string>();
  const groupTraits = new Set<string>();
  const models = new Set<string>();
  const segments = new Set<string>();
  const purposes = new Set<string>();
  const lists = new Set<string>();
  const samples = new Set<string>();
  const addFeature = (reference: FeatureReference): void => {
    if (reference.inline === null) features.add(reference.name);
    else inline.set(reference.name, reference.inline);
  };
  const visit = (node: Expression): void => {
    if ('feature' in node) addFeature(node.feature);
    else if (node.kind === 'trait') traits.add(node.name);
    else if (node.kind === 'groups') traits.add(GROUPS);
    else if (isGroupTrait(node)) groupTraits.add(node.key);
    else if (node.kind === 'model') models.add(node.key);
    else if (node.kind === 'membership') segments.add(node.key);
    else if (node.kind === 'consent') purposes.add(node.purpose);
    else if (node.kind === 'listed') lists.add(node.key);
    else if (node.kind === 'sample') samples.add(node.name);
    childrenOf(node).forEach(visit);
  };
  visit(root);
  return {
    features: [...features].sort(),
    inlineFeatures: [...inline.keys()].sort().map((name) => inline.get(name) as FeatureDefinition),
    traits: [...traits].sort(),
    groupTraits: [...groupTraits].sort(),
    models: [...models].sort(),
    segments: [...segments].sort(),
    purposes: [...purposes].sort(),
    lists: [...lists].sort(),
    samples: [...samples].sort(),
  };
}
