import type { ASTNode } from '@marcbachmann/cel-js';
import { WEEKDAYS } from '../features/feature.model.js';
import type { CompareOp } from '../features/compare-value.model.js';
import { nearestName } from '../platform/near-names.js';
import { ZONES, zoneHint } from '../platform/zone-cache.js';
import { arity, at, type CallRule } from './call-arity.js';
import { span, type CheckContext } from './check-context.js';
import { constantText } from './constant-arguments.js';
import {
  childrenOf,
  type ClockExpression,
  type ClockReading,
  type Expression,
  type ExpressionType,
} from './segment-expression.model.js';

/* Functions of the wall clock of a zone, which is constant or a value of the profile. */

const TIME_OF_DAY = /^(?:([01]\d|2[0-3]):([0-5]\d)|24:00)$/;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** `hour("Europe/Paris")` and the like. */
export function clockField(field: 'hour' | 'weekday' | 'day' | 'month'): CallRule {
  const type: ExpressionType = field === 'weekday' ? 'string' : 'int';
  return (c, node, args) => {
    arity(c, node, args, `${field}("Europe/Paris"), or ${field}(traits.timezone) by the clock of the person`, 1);
    return clock(c, node, { field }, type, at(args, 0), null);
  };
}

/** `time_between("09:00", "17:30", "Europe/Paris")`. */
export const timeBetween: CallRule = (c, node, args) => {
  arity(c, node, args, 'time_between("09:00", "17:30", "Europe/Paris")', 3);
  const [fromMs, toMs] = [timeOfDay(c, at(args, 0)), timeOfDay(c, at(args, 1))];
  if (fromMs % DAY_MS === toMs % DAY_MS) {
    return c.fail(at(args, 1), 'the two times of day must differ', 'leave time_between() out where any time will do');
  }
  return clock(c, node, { field: 'between', fromMs, toMs }, 'bool', at(args, 2), null);
};

/** `days_until_anniversary(traits.birth_date, "Europe/Paris")`. */
export const daysUntilAnniversary: CallRule = (c, node, args) => daysUntil(c, node, args, 'days_until_anniversary');

/** `anniversary(traits.birth_date, "Europe/Paris")`: it is today. */
export const anniversary: CallRule = (c, node, args) => {
  const left = daysUntil(c, node, args, 'anniversary');
  const right: Expression = { kind: 'literal', type: 'int', ...span(node), value: 0 };
  return { kind: 'compare', type: 'bool', ...span(node), op: '==', left, right };
};

function daysUntil(c: CheckContext, node: ASTNode, args: readonly ASTNode[], name: string): ClockExpression {
  arity(c, node, args, `${name}(traits.birth_date, "Europe/Paris")`, 2);
  const date = c.check(at(args, 0));
  if (date.kind === 'literal' || !['dyn', 'string', 'int'].includes(date.type)) {
    const hint = `write ${name}(traits.birth_date, "Europe/Paris"), of texts as 1990-05-31, or of times as last("purchase")`;
    return c.fail(at(args, 0), `${name}() expects a date of the profile, found ${whatIs(date)}`, hint);
  }
  return clock(c, node, { field: 'days_until_anniversary' }, 'int', at(args, 1), date);
}

function whatIs(value: Expression): string {
  return value.kind === 'literal' ? 'a constant' : value.type;
}

function clock<R extends ClockReading>(
  c: CheckContext,
  node: ASTNode,
  reading: R,
  type: ExpressionType,
  zoneNode: ASTNode,
  date: Expression | null,
): ClockExpression {
  const zone = c.check(zoneNode);
  if (zone.kind === 'literal' && typeof zone.value === 'string' && ZONES.get(zone.value) === null) {
    return c.fail(zoneNode, `there is no zone ${zone.value}`, zoneHint(zone.value));
  }
  if (zone.type !== 'string' && zone.type !== 'dyn') {
    const hint = 'write "Europe/Paris", or traits.timezone for the clock of the person';
    return c.fail(zoneNode, `a zone is text, found ${zone.type}`, hint);
  }
  if (readsLocal(zone) || (date !== null && readsLocal(date))) {
    const hint = 'ask it of a trait or a feature by itself';
    return c.fail(node, 'a wall clock cannot be asked about the items of a list', hint);
  }
  return { kind: 'clock', type, ...span(node), reading, zone, date };
}

/** When its answer changes is asked outside of the walk over the list, where there is no item. */
function readsLocal(node: Expression): boolean {
  return node.kind === 'local' || childrenOf(node).some(readsLocal);
}

/** Milliseconds since midnight. */
function timeOfDay(c: CheckContext, node: ASTNode): number {
  const text = constantText(c, node, 'the time of day');
  const match = TIME_OF_DAY.exec(text);
  if (match !== null) return match[1] === undefined ? DAY_MS : (Number(match[1]) * 60 + Number(match[2])) * MINUTE_MS;
  return c.fail(
    node,
    `"${text}" is no time of day`,
    'write "00:00" to "23:59", with two digits each; 24:00 ends a day',
  );
}

const RANGES: Partial<Readonly<Record<ClockReading['field'], readonly [number, number]>>> = {
  hour: [0, 23],
  day: [1, 31],
  month: [1, 12],
  days_until_anniversary: [0, 365],
};

/** Refuses constants that the clock never shows, and an order of days of the week. */
export function checkClockBound(
  c: CheckContext,
  op: CompareOp | 'in',
  value: Expression,
  bound: Expression,
  node: { readonly pos: number },
): void {
  if (value.kind !== 'clock' || bound.kind !== 'literal') return;
  const { field } = value.reading;
  if (field === 'weekday') {
    if (op !== '==' && op !== '!=' && op !== 'in') {
      c.fail(node, `days of the week are compared with == and !=, not ${op}`, 'write weekday(…) in ["sat", "sun"]');
    }
    checkWeekday(c, bound.value, node);
  }
  const range = RANGES[field];
  if (range === undefined || typeof bound.value !== 'number') return;
  if (bound.value >= range[0] && bound.value <= range[1]) return;
  c.fail(node, `${field}(…) is from ${String(range[0])} to ${String(range[1])}, never ${String(bound.value)}`);
}

function checkWeekday(c: CheckContext, day: unknown, node: { readonly pos: number }): void {
  if (typeof day !== 'string' || (WEEKDAYS as readonly string[]).includes(day)) return;
  const meant = WEEKDAYS.find((each) => day.toLowerCase().startsWith(each)) ?? nearestName(day, WEEKDAYS);
  const hint = meant === undefined ? `days are ${WEEKDAYS.join(', ')}` : `write "${meant}"`;
  c.fail(node, `"${day}" is no day of the week`, hint);
}
