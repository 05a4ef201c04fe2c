import type { CompareOp } from '../features/compare-value.model.js';
import type { FeatureDefinition } from '../features/feature.model.js';

/**
 * A segment's condition after type checking: a small typed tree over JavaScript values. Ints and doubles are both
 * numbers at run time; ints stay within ±(2^53 − 1), outside of which arithmetic is an error, as it is in CEL outside
 * 64 bits. `start` and `end` are offsets into the source text.
 */
export type Expression =
  | LiteralExpression
  | ListExpression
  | FeatureExpression
  | TraitExpression
  | GroupsExpression
  | MemberExpression
  | IndexExpression
  | LocalExpression
  | ModelExpression
  | MembershipExpression
  | ConsentExpression
  | ListedExpression
  | SampleExpression
  | LastTimeExpression
  | AgeExpression
  | CountWithinExpression
  | ClockExpression
  | GeoExpression
  | AgeCompareExpression
  | HasExpression
  | NotExpression
  | NegateExpression
  | LogicalExpression
  | ConditionalExpression
  | CompareExpression
  | ArithmeticExpression
  | InExpression
  | CallExpression
  | RegexExpression
  | MacroExpression;

/** `dyn`: known at run time only (traits). `duration`: ms, constant or the age of an event. */
export type ExpressionType = 'int' | 'double' | 'string' | 'bool' | 'duration' | 'list' | 'map' | 'dyn';

interface Spanned<K extends string, T extends ExpressionType = ExpressionType> {
  readonly kind: K;
  readonly type: T;
  readonly start: number;
  readonly end: number;
}

/** Before the name of what comes with a request, where it is read as a feature is; no feature has a dot in its name. */
export const REQUEST_PREFIX = 'request.';

/** A feature by name; with its definition where the expression itself defines it. */
export interface FeatureReference {
  readonly name: string;
  readonly inline: FeatureDefinition | null;
}

export interface LiteralExpression extends Spanned<'literal'> {
  readonly value: number | string | boolean;
}
export interface ListExpression extends Spanned<'list', 'list'> {
  readonly items: readonly Expression[];
}
export interface FeatureExpression extends Spanned<'feature'> {
  readonly feature: FeatureReference;
  /** Type of the items of a list or of the values of a map; left out: it is neither. */
  readonly itemType?: ExpressionType;
}
export interface TraitExpression extends Spanned<'trait', 'dyn'> {
  readonly name: string;
}
/** The groups that the profile belongs to: a list of `{ id, traits }`. */
export type GroupsExpression = Spanned<'groups', 'list'>;
export interface MemberExpression extends Spanned<'member'> {
  readonly target: Expression;
  readonly key: string;
  /** Of a group: what follows is the name of one of its traits. */
  readonly isGroupTraits?: true;
}
export interface IndexExpression extends Spanned<'index'> {
  readonly target: Expression;
  readonly index: Expression;
}
/** The variable of the macro around it. */
export interface LocalExpression extends Spanned<'local', 'dyn'> {
  readonly name: string;
}
export interface ModelExpression extends Spanned<'model'> {
  readonly key: string;
  readonly output: 'score' | 'cluster' | 'label';
}
export interface MembershipExpression extends Spanned<'membership', 'bool'> {
  readonly key: string;
}
/** Whether the profile may be used for a purpose. */
export interface ConsentExpression extends Spanned<'consent', 'bool'> {
  readonly purpose: string;
}
/** Whether the profile is on a list. */
export interface ListedExpression extends Spanned<'listed', 'bool'> {
  readonly key: string;
}
/** A number in [0, 1) that is drawn once for each profile and name: see `sample-number.ts`. */
export interface SampleExpression extends Spanned<'sample', 'double'> {
  readonly name: string;
}
/** Time of the latest matching event, ms. */
export interface LastTimeExpression extends Spanned<'last-time', 'int'> {
  readonly feature: FeatureReference;
}
/** Age of the latest matching event; only ever compared with a constant, and then an `age-compare`. */
export interface AgeExpression extends Spanned<'age', 'duration'> {
  readonly feature: FeatureReference;
}
/** `t − newest time op ageMs`, to the millisecond. */
export interface AgeCompareExpression extends Spanned<'age-compare', 'bool'> {
  readonly feature: FeatureReference;
  readonly op: CompareOp;
  readonly ageMs: number;
}
/** Number of times with `t − time < windowMs`, compared; to the millisecond. `windowMs` may be Infinity. */
export interface CountWithinExpression extends Spanned<'count-within', 'bool'> {
  readonly feature: FeatureReference;
  readonly windowMs: number;
  readonly op: CompareOp;
  readonly constant: number;
}
/** What is asked of a wall clock. Weekdays are texts as `mon`, hours 0 … 23, days 1 … 31, months 1 … 12. */
export type ClockReading =
  | { readonly field: 'hour' | 'weekday' | 'day' | 'month' }
  /** Whether the time of day is in [from, to), ms since midnight; where `to` is not later, over midnight. */
  | { readonly field: 'between'; readonly fromMs: number; readonly toMs: number }
  /** Days to the next time that the day and month of a date come round, 0 … 365. */
  | { readonly field: 'days_until_anniversary' };
export interface ClockExpression extends Spanned<'clock'> {
  readonly reading: ClockReading;
  /** Text: an IANA zone, `UTC`, or a fixed offset. */
  readonly zone: Expression;
  /** Of an anniversary: text that begins with a date, or ms. */
  readonly date: Expression | null;
}
/** Latitudes and longitudes in degrees, those of the profile first; of a box south, west, north and east. */
export interface GeoExpression extends Spanned<'geo'> {
  /** A distance in km, or whether a place is in a box. */
  readonly name: 'distance_km' | 'within_box';
  readonly args: readonly Expression[];
}
/** True where the operand has a value. */
export interface HasExpression extends Spanned<'has', 'bool'> {
  readonly operand: Expression;
}
export interface NotExpression extends Spanned<'not', 'bool'> {
  readonly operand: Expression;
}
export interface NegateExpression extends Spanned<'negate'> {
  readonly operand: Expression;
}
/** Two or more operands; chains of one operator are flat. */
export interface LogicalExpression extends Spanned<'and' | 'or', 'bool'> {
  readonly operands: readonly Expression[];
}
export interface ConditionalExpression extends Spanned<'conditional'> {
  readonly condition: Expression;
  readonly consequent: Expression;
  readonly alternate: Expression;
}
export interface CompareExpression extends Spanned<'compare', 'bool'> {
  readonly op: CompareOp;
  readonly left: Expression;
  readonly right: Expression;
}
export type ArithmeticOp = '+' | '-' | '*' | '/' | '%';
export interface ArithmeticExpression extends Spanned<'arithmetic'> {
  readonly op: ArithmeticOp;
  readonly left: Expression;
  readonly right: Expression;
}
export interface InExpression extends Spanned<'in', 'bool'> {
  readonly item: Expression;
  readonly container: Expression;
}
export const PURE_FUNCTIONS = [
  'size',
  'startsWith',
  'endsWith',
  'contains',
  'lowerAscii',
  'upperAscii',
  'trim',
  'int',
  'double',
  'string',
] as const;
export type PureFunction = (typeof PURE_FUNCTIONS)[number];
export interface CallExpression extends Spanned<'call'> {
  readonly name: PureFunction;
  readonly args: readonly Expression[];
}
export interface RegexExpression extends Spanned<'regex', 'bool'> {
  readonly text: Expression;
  readonly pattern: string;
}
export type MacroName = 'exists' | 'all' | 'exists_one' | 'filter' | 'map';
export interface MacroExpression extends Spanned<'macro'> {
  readonly name: MacroName;
  readonly list: Expression;
  readonly variable: string;
  readonly body: Expression;
}

/** Whether a node reads a trait of a group, as `g.traits.plan`. */
export function isGroupTrait(node: Expression): node is MemberExpression {
  return node.kind === 'member' && node.target.kind === 'member' && node.target.isGroupTraits === true;
}

/** The operands of a node, for walks over the whole tree. */
export function childrenOf(node: Expression): readonly Expression[] {
  switch (node.kind) {
    case 'list':
      return node.items;
    case 'member':
      return [node.target];
    case 'index':
      return [node.target, node.index];
    case 'has':
    case 'not':
    case 'negate':
      return [node.operand];
    case 'and':
    case 'or':
      return node.operands;
    case 'conditional':
      return [node.condition, node.consequent, node.alternate];
    case 'compare':
    case 'arithmetic':
      return [node.left, node.right];
    case 'in':
      return [node.item, node.container];
    case 'clock':
      return node.date === null ? [node.zone] : [node.date, node.zone];
    case 'call':
    case 'geo':
      return node.args;
    case 'regex':
      return [node.text];
    case 'macro':
      return [node.list, node.body];
    default:
      return [];
  }
}
