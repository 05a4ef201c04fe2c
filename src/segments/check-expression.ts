import type { ASTNode } from '@marcbachmann/cel-js';
import { isReservedTrait } from '../events/event.model.js';
import { MIRRORED, type CompareOp } from '../features/compare-value.model.js';
import { isItemType, isMapType, itemTypeOf, type ItemType } from '../features/feature.model.js';
import { nearestName } from '../platform/near-names.js';
import { checkBounds } from './check-bounds.js';
import { checkClockBound } from './check-clock.js';
import { checkCall, checkMethod, countArguments } from './check-call.js';
import { span, unify, type CheckContext } from './check-context.js';
import { durationHint, durationOf } from './constant-arguments.js';
import { expressionError } from './expression-error.js';
import { compareHint, conditionHint, nameHint, SINCE_HINT } from './expression-hints.js';
import { MAX_EXACT_TIMES, timesFeature } from './inline-features.js';
import {
  REQUEST_PREFIX,
  type ArithmeticOp,
  type Expression,
  type ExpressionType,
  type LiteralExpression,
} from './segment-expression.model.js';
import type { SegmentSchema } from './segment-schema.model.js';

const ROOTS = ['f', 'traits'];

/** Turns a syntax tree into a typed expression; throws EXPRESSION_INVALID at the first fault. */
export class ExpressionChecker implements CheckContext {
  /** The variable of the macro that is being checked. */
  local: string | null = null;
  localIsGroup = false;

  constructor(
    readonly source: string,
    readonly schema: SegmentSchema,
  ) {}

  fail(node: { readonly pos: number }, message: string, hint?: string): never {
    throw expressionError(this.source, node.pos, message, hint);
  }

  check(node: ASTNode): Expression {
    switch (node.op) {
      case 'value':
        return this.#literal(node);
      case 'id':
        return this.#identifier(node, node.args);
      case '.':
        return this.#access(node, node.args[0], node.args[1], node);
      case '[]':
        return this.#index(node, node.args[0], node.args[1]);
      case 'call':
        return checkCall(this, node, node.args[0], node.args[1]);
      case 'rcall':
        return checkMethod(this, node, node.args[0], node.args[1], node.args[2]);
      case 'list':
        return this.#list(node, node.args);
      case '?:':
        return this.#conditional(node, node.args);
      case '||':
        return this.#logical(node, 'or', node.args);
      case '&&':
        return this.#logical(node, 'and', node.args);
      case '!_':
        return { kind: 'not', type: 'bool', ...span(node), operand: this.#condition(node.args, 'operand of !') };
      case '-_':
        return this.#negate(node, node.args);
      case '<':
      case '<=':
      case '>':
      case '>=':
      case '==':
      case '!=':
        return this.#compare(node, node.op, node.args[0], node.args[1]);
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        return this.#arithmetic(node, node.op, node.args[0], node.args[1]);
      case 'in':
        return this.#in(node, node.args[0], node.args[1]);
      case 'map':
        return this.fail(node, 'maps cannot be written in a segment', 'compare the single values instead');
      default:
        return this.fail(node, `${node.op} is not part of the segment language`);
    }
  }

  /** Checks a node that must be a condition. */
  #condition(node: ASTNode, what: string): Expression {
    const checked = this.check(node);
    if (checked.type === 'bool' || checked.type === 'dyn') return checked;
    return this.fail(node, `${what} must be bool, found ${checked.type}`, conditionHint(checked.type, what));
  }

  root(node: ASTNode): Expression {
    return this.#condition(node, 'a segment');
  }

  #literal(node: ASTNode & { op: 'value' }): LiteralExpression {
    const value = node.args;
    if (typeof value === 'boolean') return { kind: 'literal', type: 'bool', ...span(node), value };
    if (typeof value === 'string') return { kind: 'literal', type: 'string', ...span(node), value };
    if (typeof value === 'number') return { kind: 'literal', type: 'double', ...span(node), value };
    if (typeof value === 'bigint') {
      const number = Number(value);
      if (Number.isSafeInteger(number)) return { kind: 'literal', type: 'int', ...span(node), value: number };
      return this.fail(node, `the number ${String(value)} is too large`, 'ints range to ±9007199254740991');
    }
    if (value === null) {
      return this.fail(node, 'null cannot be compared', 'use has(…) to ask whether a value is known');
    }
    return this.fail(node, 'bytes and unsigned numbers are not part of the segment language', 'write a plain value');
  }

  #identifier(node: ASTNode, name: string): Expression {
    if (name === this.local) {
      if (this.localIsGroup) this.fail(node, `${name} is a group`, `write ${name}.id or ${name}.traits.plan`);
      return { kind: 'local', type: 'dyn', ...span(node), name };
    }
    if (name === 'groups') return { kind: 'groups', type: 'list', ...span(node) };
    if (ROOTS.includes(name)) {
      return this.fail(node, `${name} cannot stand alone`, `name one of its values, as in ${name}.country`);
    }
    if (this.schema.features.has(name)) return this.fail(node, `unknown name ${name}; did you mean f.${name}?`);
    const near = nearestName(name, ROOTS);
    if (name === 'group') return this.fail(node, 'unknown name group', 'write groups.exists(g, g.id == "acme")');
    const message = `unknown name ${name}${near === undefined ? '' : `; did you mean ${near}?`}`;
    return this.fail(
      node,
      message,
      near === undefined ? nameHint(name, this.schema.features.keys()) : `write ${near}.name`,
    );
  }

  /** `target.key` and `target["key"]`. */
  #access(node: ASTNode, target: ASTNode, key: string, keyNode: { readonly pos: number }): Expression {
    if (target.op === 'id' && target.args !== this.local) {
      if (target.args === 'f') return this.#feature(node, key, keyNode);
      if (target.args === 'request' && this.schema.request !== undefined) return this.#request(node, key, keyNode);
      if (target.args === 'traits' && isReservedTrait(key)) {
        return this.fail(keyNode, `${key} is no trait`, 'names that begin with $ are those of Weft itself');
      }
      if (target.args === 'traits') return { kind: 'trait', type: 'dyn', ...span(node), name: key };
    }
    if (target.op === 'id' && target.args === this.local && this.localIsGroup) {
      return this.#groupField(node, target, key, keyNode);
    }
    if (target.op === 'id' && target.args === 'groups' && this.local !== 'groups') {
      const hint = `write groups.exists(g, g.${key === 'id' ? 'id == "acme"' : 'traits.plan == "pro"'})`;
      return this.fail(keyNode, 'groups is a list', hint);
    }
    const checked = this.check(target);
    if (checked.type !== 'dyn' && checked.type !== 'map') {
      return this.fail(keyNode, `${checked.type} has no field ${key}`);
    }
    return { kind: 'member', type: itemTypeIn(checked), ...span(node), target: checked, key };
  }

  /** `g.id` and `g.traits`, which the names of traits follow. */
  #groupField(
    node: ASTNode,
    target: ASTNode & { op: 'id' },
    key: string,
    keyNode: { readonly pos: number },
  ): Expression {
    const local: Expression = { kind: 'local', type: 'dyn', ...span(target), name: target.args };
    if (key === 'id') return { kind: 'member', type: 'string', ...span(node), target: local, key };
    if (key === 'traits')
      return { kind: 'member', type: 'dyn', ...span(node), target: local, key, isGroupTraits: true };
    return this.fail(keyNode, `a group has id and traits, not ${key}`, `write ${target.args}.traits.${key}`);
  }

  #feature(node: ASTNode, name: string, keyNode: { readonly pos: number }): Expression {
    const featureType = this.schema.features.get(name);
    if (featureType === undefined) {
      const near = nearestName(name, this.schema.features.keys());
      return this.fail(
        keyNode,
        `unknown feature f.${name}${near === undefined ? '' : `; did you mean f.${near}?`}`,
        'features are defined in feature views, or inline as in count("event", "24h"); segments read none of a request',
      );
    }
    if (featureType === 'times') {
      return this.fail(
        keyNode,
        `f.${name} is a list of times and cannot be used in a segment`,
        'use count("event", "24h"), since("event") or last("event")',
      );
    }
    const feature = { name, inline: null };
    const item = itemTypeOf(featureType);
    if (isItemType(featureType)) return { kind: 'feature', type: EXPRESSION_TYPE[featureType], ...span(node), feature };
    const type = isMapType(featureType) ? 'map' : 'list';
    return { kind: 'feature', type, ...span(node), feature, itemType: EXPRESSION_TYPE[item ?? 'int'] };
  }

  #request(node: ASTNode, name: string, keyNode: { readonly pos: number }): Expression {
    const type = this.schema.request?.get(name);
    if (type !== undefined) {
      const feature = { name: `${REQUEST_PREFIX}${name}`, inline: null };
      return { kind: 'feature', type: EXPRESSION_TYPE[type], ...span(node), feature };
    }
    const near = nearestName(name, this.schema.request?.keys() ?? []);
    const message = `unknown request.${name}${near === undefined ? '' : `; did you mean request.${near}?`}`;
    return this.fail(keyNode, message, 'declare it under request of the view');
  }

  #index(node: ASTNode, target: ASTNode, index: ASTNode): Expression {
    if (index.op === 'value' && typeof index.args === 'string') return this.#access(node, target, index.args, index);
    if (target.op === 'id' && ROOTS.includes(target.args) && target.args !== this.local) {
      return this.fail(index, `the name of a ${target.args === 'f' ? 'feature' : 'trait'} must be constant text`);
    }
    const list = this.check(target);
    const at = this.check(index);
    if (list.type !== 'dyn' && list.type !== 'list' && list.type !== 'map') {
      return this.fail(node, `${list.type} cannot be indexed`);
    }
    const keyType = list.type === 'map' ? 'string' : 'int';
    if (list.kind === 'feature' && at.type !== keyType && at.type !== 'dyn') {
      const hint = list.type === 'map' ? 'write the key in quotes, as in ["shoes"]' : 'the first item is [0]';
      return this.fail(index, `a ${list.type} is indexed by ${keyType}, found ${at.type}`, hint);
    }
    if (at.type !== 'int' && at.type !== 'dyn' && at.type !== 'string') {
      return this.fail(index, `an index must be int or string, found ${at.type}`);
    }
    return { kind: 'index', type: itemTypeIn(list), ...span(node), target: list, index: at };
  }

  #list(node: ASTNode, items: readonly ASTNode[]): Expression {
    const checked = items.map((item) => this.check(item));
    checked.forEach((item, i) => {
      const first = checked[0] ?? item;
      const type = unify(first.type, item.type);
      if (type !== null && type !== 'duration') return;
      this.fail(items[i] ?? node, `items of a list must be of one type: ${first.type}, then ${item.type}`);
    });
    return { kind: 'list', type: 'list', ...span(node), items: checked };
  }

  #conditional(node: ASTNode, args: readonly [ASTNode, ASTNode, ASTNode]): Expression {
    const condition = this.#condition(args[0], 'the condition before ?');
    const consequent = this.check(args[1]);
    const alternate = this.check(args[2]);
    const type = unify(consequent.type, alternate.type);
    if (type === null || type === 'duration') {
      return this.fail(args[2], `both branches must be of one type: ${consequent.type}, then ${alternate.type}`);
    }
    return { kind: 'conditional', type, ...span(node), condition, consequent, alternate };
  }

  #logical(node: ASTNode, kind: 'and' | 'or', args: readonly [ASTNode, ASTNode]): Expression {
    const word = kind === 'and' ? '&&' : '||';
    const operands: Expression[] = [];
    for (const arg of args) {
      const checked = this.#condition(arg, `operand of ${word}`);
      if (checked.kind === kind) operands.push(...checked.operands);
      else operands.push(checked);
    }
    return { kind, type: 'bool', ...span(node), operands };
  }

  #negate(node: ASTNode, arg: ASTNode): Expression {
    const operand = this.check(arg);
    if (operand.kind === 'literal' && typeof operand.value === 'number' && operand.type !== 'duration') {
      return { ...operand, ...span(node), value: operand.type === 'int' ? 0 - operand.value : -operand.value };
    }
    if (operand.type !== 'int' && operand.type !== 'double' && operand.type !== 'dyn') {
      return this.fail(arg, `operand of - must be a number, found ${operand.type}`);
    }
    return { kind: 'negate', type: operand.type, ...span(node), operand };
  }

  #compare(node: ASTNode, op: CompareOp, leftNode: ASTNode, rightNode: ASTNode): Expression {
    const exact =
      this.#exactCount(node, op, leftNode, rightNode) ?? this.#exactCount(node, MIRRORED[op], rightNode, leftNode);
    if (exact !== null) return exact;
    const left = this.check(leftNode);
    const right = this.check(rightNode);
    if (left.kind === 'age') return this.#ageCompare(node, op, left, right, rightNode);
    if (right.kind === 'age') return this.#ageCompare(node, MIRRORED[op], right, left, leftNode);
    const ordered = op !== '==' && op !== '!=';
    const type = unify(left.type, right.type);
    if (type === null) {
      const message = `cannot compare ${left.type} with ${right.type}: expected ${left.type}`;
      return this.fail(rightNode, message, compareHint(left, right));
    }
    if (type === 'duration' || (ordered && (type === 'list' || type === 'map'))) {
      return this.fail(node, `${type}s cannot be compared with ${op}`);
    }
    checkBounds(this, op, left, right, rightNode);
    checkBounds(this, MIRRORED[op], right, left, leftNode);
    return { kind: 'compare', type: 'bool', ...span(node), op, left, right };
  }

  /** `count("e", "24h") op n` for small n, read from the times of the latest events; null if it is not that. */
  #exactCount(node: ASTNode, op: CompareOp, call: ASTNode, constant: ASTNode): Expression | null {
    if (call.op !== 'call' || call.args[0] !== 'count' || call.args[1].length !== 2) return null;
    const n = this.#numberConstant(constant);
    if (n === null || n < 0 || Math.floor(n) + 1 > MAX_EXACT_TIMES) return null;
    const { event, windowMs } = countArguments(this, call, call.args[1]);
    const needsOneMore = op !== '<' && op !== '>=';
    // Counts beyond the limit compare with n as the limit itself does.
    const limit = needsOneMore ? Math.floor(n) + 1 : Math.max(1, Math.ceil(n));
    const feature = timesFeature(event, limit);
    const within = windowMs ?? Infinity;
    return { kind: 'count-within', type: 'bool', ...span(node), feature, windowMs: within, op, constant: n };
  }

  #numberConstant(node: ASTNode): number | null {
    if (node.op !== 'value') return null;
    if (typeof node.args === 'number') return node.args;
    return typeof node.args === 'bigint' ? Number(node.args) : null;
  }

  #ageCompare(
    node: ASTNode,
    op: CompareOp,
    age: Expression & { kind: 'age' },
    other: Expression,
    otherNode: ASTNode,
  ): Expression {
    if (op === '==' || op === '!=')
      return this.fail(node, `since(…) is compared with <, <=, > or >=, not ${op}`, SINCE_HINT);
    let ageMs: number;
    if (other.kind === 'literal' && other.type === 'duration') ageMs = other.value as number;
    else if (other.kind === 'literal' && other.type === 'string') {
      ageMs = durationOf(this, otherNode, other.value as string);
    } else {
      const isNumber = other.kind === 'literal' && typeof other.value === 'number';
      return this.fail(
        otherNode,
        'since(…) is compared with a constant duration',
        isNumber
          ? durationHint(other.value)
          : 'write since("event") > "90d"; to compare two events use last("a") < last("b")',
      );
    }
    return { kind: 'age-compare', type: 'bool', ...span(node), feature: age.feature, op, ageMs };
  }

  #arithmetic(node: ASTNode, op: ArithmeticOp, leftNode: ASTNode, rightNode: ASTNode): Expression {
    const left = this.check(leftNode);
    const right = this.check(rightNode);
    const type = arithmeticType(op, left, right);
    if (type === null) {
      const mixed = unify(left.type, right.type) === 'double';
      return this.fail(
        node,
        `cannot compute ${left.type} ${op} ${right.type}`,
        mixed && op !== '%' ? 'turn the int into a double with double(…)' : undefined,
      );
    }
    return { kind: 'arithmetic', type, ...span(node), op, left, right };
  }

  #in(node: ASTNode, itemNode: ASTNode, containerNode: ASTNode): Expression {
    const item = this.check(itemNode);
    const container = this.check(containerNode);
    if (container.type !== 'list' && container.type !== 'map' && container.type !== 'dyn') {
      return this.fail(
        containerNode,
        `expected a list or a map after in, found ${container.type}`,
        'write x in ["a", "b"]',
      );
    }
    if (container.kind === 'groups') {
      return this.fail(containerNode, 'groups is a list of groups', 'write groups.exists(g, g.id == "acme")');
    }
    const types = container.kind === 'list' ? container.items.map((each) => each.type) : [soughtIn(container)];
    const wrong = types.find((type) => unify(item.type, type) === null);
    if (wrong !== undefined || item.type === 'duration') {
      const of = container.type === 'map' ? 'map with keys' : 'list';
      return this.fail(containerNode, `cannot look for ${item.type} in a ${of} of ${wrong ?? 'values'}`);
    }
    if (container.kind === 'list' && containerNode.op === 'list') {
      container.items.forEach((each, i) => {
        checkClockBound(this, 'in', item, each, containerNode.args[i] ?? containerNode);
      });
    }
    return { kind: 'in', type: 'bool', ...span(node), item, container };
  }
}

/** Type of what an index or a key gives. */
function itemTypeIn(container: Expression): ExpressionType {
  return container.kind === 'feature' ? (container.itemType ?? 'dyn') : 'dyn';
}

/** Type of what can be `in` it: a key of a map, an item of a list. */
function soughtIn(container: Expression): ExpressionType {
  return container.type === 'map' ? 'string' : itemTypeIn(container);
}

const EXPRESSION_TYPE: Readonly<Record<ItemType, ExpressionType>> = {
  int: 'int',
  double: 'double',
  string: 'string',
  bool: 'bool',
  timestamp: 'int',
};

function isNumber(type: ExpressionType): boolean {
  return type === 'int' || type === 'double';
}

/** A constant int next to a double is taken as a double; CEL itself would refuse it. */
function arithmeticType(op: ArithmeticOp, left: Expression, right: Expression): ExpressionType | null {
  if (op === '+' && left.type === 'string' && right.type === 'string') return 'string';
  if (left.type === 'dyn' || right.type === 'dyn') {
    const other = left.type === 'dyn' ? right.type : left.type;
    return other === 'dyn' || isNumber(other) || (op === '+' && other === 'string') ? 'dyn' : null;
  }
  if (!isNumber(left.type) || !isNumber(right.type)) return null;
  if (left.type === right.type) return left.type === 'double' && op === '%' ? null : left.type;
  const int = left.type === 'int' ? left : right;
  return int.kind === 'literal' && op !== '%' ? 'double' : null;
}
