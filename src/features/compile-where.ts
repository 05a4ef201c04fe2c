import {
  Environment,
  EvaluationError,
  ParseError,
  TypeError as CelTypeError,
  type ASTNode,
} from '@marcbachmann/cel-js';
import { PRIVATE_PROPERTIES } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import type { FeatureEvent } from './feature.model.js';
import { explainSyntax } from './syntax-hint.model.js';
import { compileShape } from './where-shapes.js';

/** Whether an event counts. An error while it is evaluated, such as a missing property, counts as false. */
export type WhereFilter = (event: FeatureEvent) => boolean;

const MAX_LENGTH = 4_000;
const MAX_NODES = 200;
const MAX_DEPTH = 32;

const LANGUAGE = 'a filter is CEL over properties, traits, context, type and name';

const MACROS = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

const OBJECTS = new Set(['properties', 'traits', 'context']);

/** `type` is a function of CEL, so the variable goes by a name of equal length, which keeps positions as written. */
const TYPE_VARIABLE = '_typ';

const environment = new Environment({
  unlistedVariablesAreDyn: false,
  limits: { maxAstNodes: MAX_NODES, maxDepth: MAX_DEPTH },
})
  .registerVariable('properties', 'map<string, dyn>')
  .registerVariable('traits', 'map<string, dyn>')
  .registerVariable('context', 'map<string, dyn>')
  .registerVariable('name', 'string')
  .registerVariable(TYPE_VARIABLE, 'string');

/**
 * Compiles a condition in CEL over `properties`, `traits`, `context`, `type` and `name`.
 *
 * @throws WeftError EXPRESSION_INVALID, with the column of the fault
 */
export function compileWhere(text: string): WhereFilter {
  const parsed = parseWhere(text);
  const condition = compileShape(parsed.ast, TYPE_VARIABLE);
  return condition === null ? interpreted(parsed) : (event) => condition(event) === true;
}

/** As {@link compileWhere}, by the interpreter alone; the measure that the compiled form is held against. */
export function interpretWhere(text: string): WhereFilter {
  return interpreted(parseWhere(text));
}

/**
 * The paths into an event that a condition reads, as `context.page.url`, with those that lead there, each once.
 *
 * @throws WeftError as {@link compileWhere}
 */
export function pathsOfWhere(text: string): string[] {
  const paths = nodesOf(parseWhere(text).ast).map(pathOf);
  return [...new Set(paths.filter((path) => path !== null))].filter((path) => path.includes('.')).sort();
}

function pathOf(node: ASTNode): string | null {
  if (node.op === 'id') return OBJECTS.has(node.args) ? node.args : null;
  if (node.op !== '.' && node.op !== '[]') return null;
  const [target, key] = node.args;
  const name = typeof key === 'string' ? key : key.op === 'value' ? key.args : null;
  const parent = pathOf(target);
  return parent === null || typeof name !== 'string' ? null : `${parent}.${name}`;
}

type Parsed = ReturnType<Environment['parse']>;

function interpreted(evaluate: Parsed): WhereFilter {
  const activation: Record<string, unknown> = {};
  return (event) => {
    activation['properties'] = event.properties;
    activation['traits'] = event.traits;
    activation['context'] = event.context;
    activation['name'] = event.name;
    activation[TYPE_VARIABLE] = event.type;
    try {
      return evaluate(activation) === true;
    } catch (error) {
      if (error instanceof EvaluationError) return false;
      throw error;
    }
  };
}

function parseWhere(text: string): Parsed {
  if (text.length > MAX_LENGTH) {
    throw invalid(0, `a filter of ${String(text.length)} characters is too long`, `use at most ${String(MAX_LENGTH)}`);
  }
  try {
    const nodes = nodesOf(environment.parse(text).ast);
    refuse(nodes);
    let renamed = text;
    for (const node of nodes) {
      if (node.op !== 'id' || node.args !== 'type') continue;
      renamed = renamed.slice(0, node.range.start) + TYPE_VARIABLE + renamed.slice(node.range.end);
    }
    const parsed = environment.parse(renamed);
    const check = parsed.check();
    if (check.error !== undefined) throw check.error;
    if (check.type !== 'bool' && check.type !== 'dyn') {
      throw invalid(
        0,
        `a filter must be true or false, this one is ${check.type ?? 'of no type'}`,
        'compare it with a value',
      );
    }
    return parsed;
  } catch (error) {
    if (!(error instanceof ParseError || error instanceof CelTypeError)) throw error;
    const what = error.summary.replaceAll(TYPE_VARIABLE, 'type');
    const offset = error.range?.start ?? 0;
    if (!(error instanceof ParseError)) throw invalid(offset, what, LANGUAGE);
    const fault = explainSyntax(text, offset, what, LANGUAGE);
    throw invalid(fault.offset, fault.message, fault.hint);
  }
}

function namesPrivate({ op, args }: ASTNode): boolean {
  return op === 'value' && args === PRIVATE_PROPERTIES;
}

function refuse(nodes: readonly ASTNode[]): void {
  for (const node of nodes) {
    if (node.op === 'id' && node.args === TYPE_VARIABLE) {
      throw invalid(node.range.start, `Unknown variable: ${TYPE_VARIABLE}`, 'the type of the event is called type');
    }
    if (namesPrivate(node)) {
      throw invalid(
        node.range.start,
        `${PRIVATE_PROPERTIES} is private`,
        'what messages say can be seen by admins only',
      );
    }
    const called = calledBy(node);
    if (called === 'matches') {
      throw invalid(node.range.start, 'matches() is not available', 'use startsWith, endsWith, contains or ==');
    }
    if (
      called !== null &&
      MACROS.has(called) &&
      nodesOf(node).some((inner) => inner !== node && MACROS.has(calledBy(inner) ?? ''))
    ) {
      throw invalid(
        node.range.start,
        `${called}() holds another loop`,
        'use one loop over a list, not one within another',
      );
    }
  }
}

function calledBy(node: ASTNode): string | null {
  return node.op === 'call' || node.op === 'rcall' ? node.args[0] : null;
}

/** The node and all below it, in no particular order. Their number is bounded by the parser. */
function nodesOf(root: ASTNode): ASTNode[] {
  const found: ASTNode[] = [];
  const open: unknown[] = [root];
  while (open.length > 0) {
    const item = open.pop();
    if (Array.isArray(item)) open.push(...(item as unknown[]));
    else if (isNode(item)) {
      found.push(item);
      open.push(item.args);
    }
  }
  return found;
}

function isNode(item: unknown): item is ASTNode {
  return typeof item === 'object' && item !== null && 'op' in item && 'args' in item;
}

function invalid(offset: number, what: string, hint: string): WeftError {
  return new WeftError('EXPRESSION_INVALID', what, { where: `column ${String(offset + 1)}`, hint });
}
