import { isItemType, type ItemType } from '../features/feature.model.js';
import type { ExpressionLanguage, ExpressionNames } from '../features/on-demand.model.js';
import { LEAST_ID } from '../platform/ids.js';
import { compileValue } from './compile-expression.js';
import { leafScope } from './compile-leaf.js';
import { ExpressionChecker } from './check-expression.js';
import type { EvalContext } from './eval-context.model.js';
import { expressionError } from './expression-error.js';
import { ABSENT } from './expression-values.js';
import { parseTree } from './parse-segment.js';
import { childrenOf, REQUEST_PREFIX, type Expression, type ExpressionType } from './segment-expression.model.js';

/**
 * The language of segments as on-demand features are written in it: the same values, functions and absence, over features
 * and the request alone. What a segment asks beside that depends on more than the features that are read: on events,
 * traits, models, consents, and on when it is.
 */
export const FEATURE_EXPRESSIONS: ExpressionLanguage = {
  check(source, names, type) {
    const expression = parse(source, names);
    const given = expression.type;
    if (given !== 'dyn' && (!isItemType(type) || !GIVEN_BY[type].includes(given))) {
      const hint = type === 'double' || type === 'int' ? `turn it into one with ${type}(…)` : `write type: ${given}`;
      throw expressionError(source, 0, `the expression gives ${given}, and the feature is ${type}`, hint);
    }
    const features = new Set<string>();
    const visit = (node: Expression): void => {
      refuseOthers(source, node);
      if (node.kind === 'feature' && !node.feature.name.startsWith(REQUEST_PREFIX)) features.add(node.feature.name);
      childrenOf(node).forEach(visit);
    };
    visit(expression);
    return [...features].sort();
  },

  compile(source, names) {
    const order = [...names.features.keys(), ...[...names.request.keys()].map((name) => `${REQUEST_PREFIX}${name}`)];
    const indexes = new Map(order.map((name, i) => [name, i]));
    const scope = leafScope((name) => indexes.get(name), new Map(), unlinked);
    const { evaluate } = compileValue(parse(source, names), scope);
    return (values) => {
      const context: EvalContext = {
        ...NOTHING_ELSE,
        feature: (index) => values[index] ?? unlinked(order[index] ?? ''),
      };
      const value = evaluate(context, 0);
      return value === ABSENT ? undefined : value;
    };
  },
};

/** Types that an expression may have for a feature of a type. */
const GIVEN_BY: Readonly<Record<ItemType, readonly ExpressionType[]>> = {
  int: ['int'],
  double: ['double', 'int'],
  string: ['string'],
  bool: ['bool'],
  timestamp: ['int'],
};

/** What only segments read. */
const OTHERS: Partial<Readonly<Record<Expression['kind'], string>>> = {
  trait: 'traits',
  groups: 'groups',
  model: 'models',
  membership: 'segments',
  consent: 'consents',
  listed: 'lists',
  sample: 'samples',
  clock: 'clocks',
  'last-time': 'events',
  age: 'events',
  'age-compare': 'events',
  'count-within': 'events',
};

const NOTHING_ELSE: Omit<EvalContext, 'feature'> = {
  profileId: () => LEAST_ID,
  flipAt: () => Infinity,
  lastTimes: () => [],
  trait: () => undefined,
  groups: () => [],
  consent: () => undefined,
  model: () => undefined,
  membership: () => false,
};

function parse(source: string, { features, request }: ExpressionNames): Expression {
  return new ExpressionChecker(source, { features, request }).check(
    parseTree(source, 'split it into several features'),
  );
}

function refuseOthers(source: string, node: Expression): void {
  const isInline = node.kind === 'feature' && node.feature.inline !== null;
  const what = isInline ? 'events' : OTHERS[node.kind];
  if (what === undefined) return;
  const hint = 'read features, as f.views_24h, and what a request says, as request.amount';
  throw expressionError(source, node.start, `on-demand features read no ${what} by themselves`, hint);
}

function unlinked(name: string): never {
  throw new TypeError(`the expression reads ${name}, which it is not linked to`);
}
