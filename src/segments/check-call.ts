import type { ASTNode } from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';
import { parseInstant, type InstantPolicy } from '../platform/instant.js';
import { nearestName } from '../platform/near-names.js';
import { arity, at, type CallRule } from './call-arity.js';
import { span, type CheckContext } from './check-context.js';
import { anniversary, clockField, daysUntilAnniversary, timeBetween } from './check-clock.js';
import { distance, near, withinBox } from './check-geo.js';
import { funnel, sequence } from './check-sequence.js';
import { constantText, durationOf, eventName, tiledWindowOf, valuePath, windowOf } from './constant-arguments.js';
import { aggregateFeature, timesFeature, type InlineAggregate } from './inline-features.js';
import type {
  Expression,
  ExpressionType,
  MacroName,
  ModelExpression,
  PureFunction,
} from './segment-expression.model.js';

const MAX_PATTERN_LENGTH = 500;

/** Checks `name(args)`. */
export function checkCall(c: CheckContext, node: ASTNode, name: string, args: readonly ASTNode[]): Expression {
  const rule = CALLS.get(name);
  if (rule !== undefined) return rule(c, node, args);
  if (name === 'matches') return refuseMatches(c, node);
  const near = nearestName(name, CALLS.keys());
  const message = `unknown function ${name}${near === undefined ? '' : `; did you mean ${near}(…)?`}`;
  return c.fail(node, message, functionHint(name, near));
}

/** Checks `receiver.name(args)`. */
export function checkMethod(
  c: CheckContext,
  node: ASTNode,
  name: string,
  receiver: ASTNode,
  args: readonly ASTNode[],
): Expression {
  if (name === 'matches') return refuseMatches(c, node);
  if (isMacro(name)) return checkMacro(c, node, name, receiver, args);
  const method = METHODS.get(name);
  if (method !== undefined) return pureCall(c, node, method, [receiver, ...args], name);
  const near = nearestName(name, [...METHODS.keys(), ...MACROS]);
  const message = `unknown function .${name}${near === undefined ? '' : `; did you mean .${near}(…)?`}`;
  return c.fail(
    node,
    message,
    FOREIGN_FUNCTIONS.get(name.toLowerCase()) ?? `texts have ${[...METHODS.keys()].join(', ')}`,
  );
}

/** Functions of other languages, in small letters, and what does that here. */
const FOREIGN_FUNCTIONS: ReadonlyMap<string, string> = new Map([
  ...['exists', 'isset', 'isnotnull', 'defined'].map((name) => [name, 'write has(traits.name)'] as const),
  ...['isnull', 'isempty', 'missing'].map((name) => [name, 'write !has(traits.name)'] as const),
  ...['length', 'len'].map((name) => [name, 'write traits.name.size()'] as const),
  ...['lower', 'tolower', 'tolowercase', 'lcase'].map((name) => [name, 'write traits.name.lowerAscii()'] as const),
  ...['upper', 'toupper', 'touppercase', 'ucase'].map((name) => [name, 'write traits.name.upperAscii()'] as const),
  ...['includes', 'like', 'ilike'].map((name) => [name, 'write traits.name.contains("…")'] as const),
  ...['now', 'today', 'date_diff', 'datediff', 'days_since', 'time_since', 'ago'].map(
    (name) => [name, 'to ask how long ago an event was, write since("event") > "7d"'] as const,
  ),
  ...['did', 'event', 'happened', 'has_done', 'within'].map(
    (name) => [name, 'write performed("event", "7d")'] as const,
  ),
  ['between', 'write x >= 1 && x <= 2; for a time of day time_between("09:00", "17:30", "Europe/Paris")'],
  ...['time_of_day', 'local_time'].map(
    (name) => [name, 'write time_between("09:00", "17:30", "Europe/Paris") or hour("Europe/Paris")'] as const,
  ),
  ...['dayofweek', 'day_of_week', 'getdayofweek'].map(
    (name) => [name, 'write weekday("Europe/Paris") in ["sat", "sun"]'] as const,
  ),
  ...['distance', 'haversine', 'within_km', 'geo_distance'].map(
    (name) => [name, 'write near(traits.latitude, traits.longitude, 48.86, 2.35, 10), in km'] as const,
  ),
  ...['birthday', 'days_until'].map((name) => [name, 'write anniversary(traits.birth_date, "Europe/Paris")'] as const),
  ['step', 'a step stands in the list of sequence([…]) or funnel([…])'],
  ...['windowfunnel', 'sequencematch', 'then', 'followed_by'].map(
    (name) => [name, 'write sequence(["product_view", "purchase"], "7d")'] as const,
  ),
  ...['trait', 'property', 'attribute'].map((name) => [name, 'write traits.name'] as const),
  ...['feature', 'metric'].map((name) => [name, 'write f.name'] as const),
]);

function functionHint(name: string, near: string | undefined): string {
  const method = near === undefined ? nearestName(name, METHODS.keys()) : undefined;
  if (method !== undefined) return `write it after the text, as traits.name.${method}(…)`;
  const foreign = FOREIGN_FUNCTIONS.get(name.toLowerCase());
  if (foreign !== undefined) return foreign;
  return near === undefined ? `there are ${[...CALLS.keys()].join(', ')}` : `write ${near}(…)`;
}

function refuseMatches(c: CheckContext, node: ASTNode): never {
  return c.fail(node, 'matches() is not available', 'use regex(text, "pattern"), whose time is linear in the text');
}

// --- events -----------------------------------------------------------------------------------------------------------

/** Event and window of `count("event", "24h")`; null: lifetime. */
export function countArguments(
  c: CheckContext,
  node: ASTNode,
  args: readonly ASTNode[],
): { event: string; windowMs: number | null } {
  arity(c, node, args, 'count("event", "24h")', 1, 2);
  return { event: eventName(c, at(args, 0)), windowMs: args.length > 1 ? windowOf(c, at(args, 1)) : null };
}

function count(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'count("event", "24h")', 1, 2);
  const windowMs = args.length > 1 ? tiledWindowOf(c, at(args, 1)) : null;
  const feature = aggregateFeature('count', eventName(c, at(args, 0)), null, windowMs);
  return { kind: 'feature', type: 'int', ...span(node), feature };
}

function aggregate(name: Exclude<InlineAggregate, 'count'>): CallRule {
  const type = name === 'distinct' ? 'int' : 'double';
  return (c, node, args) => {
    arity(c, node, args, `${name}("event", "properties.total", "30d")`, 2, 3);
    const windowMs = args.length > 2 ? tiledWindowOf(c, at(args, 2)) : null;
    const feature = aggregateFeature(name, eventName(c, at(args, 0)), valuePath(c, at(args, 1)), windowMs);
    return { kind: 'feature', type, ...span(node), feature };
  };
}

function performed(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'performed("event", "7d")', 1, 2);
  const feature = timesFeature(eventName(c, at(args, 0)), 1);
  const windowMs = args.length > 1 ? windowOf(c, at(args, 1)) : Infinity;
  return { kind: 'count-within', type: 'bool', ...span(node), feature, windowMs, op: '>=', constant: 1 };
}

function last(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'last("event")', 1);
  return { kind: 'last-time', type: 'int', ...span(node), feature: timesFeature(eventName(c, at(args, 0)), 1) };
}

function since(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'since("event")', 1);
  return { kind: 'age', type: 'duration', ...span(node), feature: timesFeature(eventName(c, at(args, 0)), 1) };
}

// --- models, segments -------------------------------------------------------------------------------------------------

function knownKey(
  c: CheckContext,
  node: ASTNode,
  what: string,
  known: ReadonlySet<string> | undefined,
  hint: (key: string) => string,
): string {
  const key = constantText(c, node, `the key of the ${what}`);
  if (known === undefined || known.has(key)) return key;
  const near = nearestName(key, known);
  const message = `unknown ${what} "${key}"${near === undefined ? '' : `; did you mean "${near}"?`}`;
  return c.fail(node, message, hint(key));
}

function model(output: ModelExpression['output'], type: ExpressionType): CallRule {
  return (c, node, args) => {
    arity(c, node, args, `${output}("model_key")`, 1);
    const { models, waitingModels, requestModels } = c.schema;
    const key = knownKey(c, at(args, 0), 'model', models, (unknown) => {
      const waiting = waitingModels?.get(unknown);
      if (waiting !== undefined)
        return `it is registered; let it answer by weft model promote ${unknown} ${String(waiting)}`;
      return 'register it first: weft model register model.onnx manifest.yaml --promote';
    });
    const needed = requestModels?.get(key);
    if (needed === undefined) return { kind: 'model', type, ...span(node), key, output };
    const hint = 'there is no request where segments are evaluated: give what it reads a default, or ask another model';
    return c.fail(node, `the model ${key} needs a request: ${needed}`, hint);
  };
}

function segment(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'segment("key")', 1);
  const hint = (): string => 'write that segment first, or both in one file; weft segment list shows those there are';
  const key = knownKey(c, at(args, 0), 'segment', c.schema.segments, hint);
  return { kind: 'membership', type: 'bool', ...span(node), key };
}

function consent(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'consent("purpose")', 1);
  const hint = (): string => 'declare it first, under purposes in a file that weft apply takes';
  const purpose = knownKey(c, at(args, 0), 'purpose', c.schema.purposes, hint);
  return { kind: 'consent', type: 'bool', ...span(node), purpose };
}

function listed(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'listed("key")', 1);
  const hint = (): string =>
    'make it first: weft list upload brings one in from a file, weft list ls shows those there are';
  const key = knownKey(c, at(args, 0), 'list', c.schema.lists, hint);
  return { kind: 'listed', type: 'bool', ...span(node), key };
}

const SAMPLE_NAME = /^[A-Za-z0-9_.-]{1,64}$/;

function sample(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'sample("name")', 1);
  const name = constantText(c, at(args, 0), 'the name of the sample');
  if (!SAMPLE_NAME.test(name)) {
    const hint = 'as in sample("spring_test") < 0.1, which is true of a tenth of all profiles';
    return c.fail(at(args, 0), 'a sample is named by 1 to 64 letters, digits, _, . and -', hint);
  }
  return { kind: 'sample', type: 'double', ...span(node), name };
}

// --- values -----------------------------------------------------------------------------------------------------------

function has(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'has(traits.country)', 1);
  const operand = c.check(at(args, 0));
  const readable = operand.kind === 'trait' || operand.kind === 'member' || operand.kind === 'feature';
  if (!readable || (operand.kind === 'feature' && operand.feature.inline !== null)) {
    return c.fail(at(args, 0), 'has() asks about a feature or a trait', 'write has(f.name) or has(traits.name)');
  }
  return { kind: 'has', type: 'bool', ...span(node), operand };
}

function regex(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'regex(traits.email, "@example[.]com$")', 2);
  const text = c.check(at(args, 0));
  if (text.type !== 'string' && text.type !== 'dyn') {
    return c.fail(at(args, 0), `regex() expects string, found ${text.type}`);
  }
  const pattern = constantText(c, at(args, 1), 'the pattern');
  if (pattern.length > MAX_PATTERN_LENGTH) {
    return c.fail(at(args, 1), `a pattern has at most ${String(MAX_PATTERN_LENGTH)} characters`);
  }
  try {
    RE2JS.compile(pattern);
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'syntax';
    return c.fail(
      at(args, 1),
      `the pattern is not valid: ${reason}`,
      'patterns are RE2: no look-around, no backreference',
    );
  }
  return { kind: 'regex', type: 'bool', ...span(node), text, pattern };
}

function duration(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'duration("5m")', 1);
  const text = constantText(c, at(args, 0), 'the duration');
  return { kind: 'literal', type: 'duration', ...span(node), value: durationOf(c, at(args, 0), text) };
}

/** A date is its first instant in UTC; a time has to say where it is one. */
const POLICY: InstantPolicy = { date: 'utc', time: 'refused' };

/** A constant instant, in ms, so that it compares with timestamp features and `last(…)`. */
function timestamp(c: CheckContext, node: ASTNode, args: readonly ASTNode[]): Expression {
  arity(c, node, args, 'timestamp("2026-01-31T00:00:00Z")', 1);
  const text = constantText(c, at(args, 0), 'the timestamp');
  const ms = parseInstant(text, POLICY);
  if (Number.isNaN(ms)) return c.fail(at(args, 0), `"${text}" is not a time`, 'write "2026-01-31T00:00:00Z"');
  return { kind: 'literal', type: 'int', ...span(node), value: ms };
}

interface Signature {
  readonly name: PureFunction;
  /** Accepted types of each argument; dyn is always accepted and checked at run time. */
  readonly accepts: readonly (readonly ExpressionType[])[];
  readonly type: ExpressionType;
}

const TEXT: readonly ExpressionType[] = ['string'];
const SIZED: readonly ExpressionType[] = ['string', 'list', 'map'];

const METHODS: ReadonlyMap<string, Signature> = new Map(
  (
    [
      { name: 'size', accepts: [SIZED], type: 'int' },
      { name: 'startsWith', accepts: [TEXT, TEXT], type: 'bool' },
      { name: 'endsWith', accepts: [TEXT, TEXT], type: 'bool' },
      { name: 'contains', accepts: [TEXT, TEXT], type: 'bool' },
      { name: 'lowerAscii', accepts: [TEXT], type: 'string' },
      { name: 'upperAscii', accepts: [TEXT], type: 'string' },
      { name: 'trim', accepts: [TEXT], type: 'string' },
    ] as const satisfies readonly Signature[]
  ).map((signature) => [signature.name, signature]),
);

function pureCall(
  c: CheckContext,
  node: ASTNode,
  signature: Signature,
  args: readonly ASTNode[],
  usage: string,
): Expression {
  const method = METHODS.has(usage) && node.op === 'rcall' ? 1 : 0;
  arity(c, node, args.slice(method), `${usage}(…)`, signature.accepts.length - method);
  const checked = args.map((arg, i) => {
    const value = c.check(arg);
    const accepts = signature.accepts[i] ?? [];
    if (value.type === 'dyn' || accepts.includes(value.type)) return value;
    return c.fail(arg, `${usage}() expects ${accepts.join(' or ')}, found ${value.type}`);
  });
  return { kind: 'call', type: signature.type, ...span(node), name: signature.name, args: checked };
}

function pure(signature: Signature): CallRule {
  return (c, node, args) => pureCall(c, node, signature, args, signature.name);
}

const CALLS: ReadonlyMap<string, CallRule> = new Map<string, CallRule>([
  ['count', count],
  ['sum', aggregate('sum')],
  ['avg', aggregate('avg')],
  ['min', aggregate('min')],
  ['max', aggregate('max')],
  ['distinct', aggregate('distinct')],
  ['performed', performed],
  ['last', last],
  ['since', since],
  ['sequence', sequence],
  ['funnel', funnel],
  ['distance_km', distance],
  ['near', near],
  ['within_box', withinBox],
  ['hour', clockField('hour')],
  ['weekday', clockField('weekday')],
  ['day', clockField('day')],
  ['month', clockField('month')],
  ['time_between', timeBetween],
  ['anniversary', anniversary],
  ['days_until_anniversary', daysUntilAnniversary],
  ['score', model('score', 'double')],
  ['cluster', model('cluster', 'int')],
  ['label', model('label', 'string')],
  ['segment', segment],
  ['consent', consent],
  ['listed', listed],
  ['sample', sample],
  ['has', has],
  ['regex', regex],
  ['duration', duration],
  ['timestamp', timestamp],
  ['size', pure({ name: 'size', accepts: [SIZED], type: 'int' })],
  ['int', pure({ name: 'int', accepts: [['int', 'double', 'string']], type: 'int' })],
  ['double', pure({ name: 'double', accepts: [['int', 'double', 'string']], type: 'double' })],
  ['string', pure({ name: 'string', accepts: [['string', 'int', 'double', 'bool']], type: 'string' })],
]);

// --- macros over lists ------------------------------------------------------------------------------------------------

const MACROS: readonly MacroName[] = ['exists', 'all', 'exists_one', 'filter', 'map'];

function isMacro(name: string): name is MacroName {
  return (MACROS as readonly string[]).includes(name);
}

function walksGroups(list: Expression): boolean {
  return list.kind === 'groups' || (list.kind === 'macro' && list.name === 'filter' && walksGroups(list.list));
}

/** Macros may follow one another but not stand inside one another: work stays linear in the size of the list. */
function checkMacro(
  c: CheckContext,
  node: ASTNode,
  name: MacroName,
  receiver: ASTNode,
  args: readonly ASTNode[],
): Expression {
  if (c.local !== null) {
    return c.fail(
      node,
      `.${name}() cannot stand inside another one`,
      'split the segment and refer to it by segment("key")',
    );
  }
  arity(c, node, args, `.${name}(x, x == "a")`, 2);
  const list = c.check(receiver);
  const isOfGroups = walksGroups(list);
  const isList = list.type === 'list' || list.type === 'map';
  const walkable = list.type === 'dyn' || isOfGroups || (isList && (list.kind === 'macro' || list.kind === 'feature'));
  if (!walkable) return c.fail(receiver, `.${name}() walks a list, found ${list.type}`);
  const variable = at(args, 0);
  if (variable.op !== 'id' || ['f', 'traits', 'groups'].includes(variable.args)) {
    return c.fail(variable, 'the first argument names the item', `write .${name}(x, x == "a")`);
  }
  c.local = variable.args;
  c.localIsGroup = isOfGroups;
  let body: Expression;
  try {
    body = c.check(at(args, 1));
  } finally {
    c.local = null;
    c.localIsGroup = false;
  }
  if (name !== 'map' && body.type !== 'bool' && body.type !== 'dyn') {
    return c.fail(at(args, 1), `the condition of .${name}() must be bool, found ${body.type}`);
  }
  if (body.type === 'duration') return c.fail(at(args, 1), 'since(…) is compared with a constant duration');
  const type = name === 'filter' || name === 'map' ? 'list' : 'bool';
  return { kind: 'macro', type, ...span(node), name, list, variable: variable.args, body };
}
