import { ZONES } from '../platform/zone-cache.js';
import type { ZoneOffsets } from '../platform/zone-offsets.js';
import { calendarDateOf } from './calendar-date.js';
import type { CompiledNode, Hold } from './compile-leaf.js';
import type { EvalContext } from './eval-context.model.js';
import { ABSENT, type Value } from './expression-values.js';
import type { ClockExpression } from './segment-expression.model.js';
import { nextChange, wallReading, type WallReading } from './wall-clock.js';

/**
 * What a wall clock shows at `t`, and the first instant at which it shows something else.
 *
 * @param compile compiles the zone and the date
 * @param judgement what is made of it, where only that matters: then it holds for as long as that stays the same
 */
export function compileClock(
  node: ClockExpression,
  compile: (operand: ClockExpression['zone']) => CompiledNode,
  { of: judge, edges }: Judgement = AS_IT_IS,
): CompiledNode {
  const zoneOf = compileZone(node, compile);
  const date = node.date === null ? null : compile(node.date);
  const fixed = date === null ? wallReading(node.reading, null) : null;
  const readingOf = (ctx: EvalContext, t: number, zone: ZoneOffsets): WallReading =>
    fixed ?? wallReading(node.reading, calendarDateOf(date?.evaluate(ctx, t) ?? ABSENT, zone));
  const hold: Hold = (ctx, t) => {
    const until = Math.min(zoneOf.hold?.(ctx, t) ?? Infinity, date?.hold?.(ctx, t) ?? Infinity);
    const zone = zoneOf.zone(ctx, t);
    if (zone === null) return until;
    const reading = readingOf(ctx, t, zone);
    const now = judge(reading.valueAt(zone.toWall(t)));
    return Math.min(until, nextChange(zone, t, reading, { holds: (value) => judge(value) === now, edges }));
  };
  return {
    evaluate: (ctx, t) => {
      const zone = zoneOf.zone(ctx, t);
      return zone === null ? ABSENT : judge(readingOf(ctx, t, zone).valueAt(zone.toWall(t)));
    },
    hold,
  };
}

interface CompiledZone {
  /** Null: the profile has none, or what it has is no zone. */
  zone(ctx: EvalContext, t: number): ZoneOffsets | null;
  readonly hold: Hold | null;
}

function compileZone(
  { zone }: ClockExpression,
  compile: (operand: ClockExpression['zone']) => CompiledNode,
): CompiledZone {
  if (zone.kind === 'literal') {
    const known = ZONES.get(String(zone.value));
    return { zone: () => known, hold: null };
  }
  const { evaluate, hold } = compile(zone);
  return {
    zone: (ctx, t) => {
      const name = evaluate(ctx, t);
      return typeof name === 'string' ? ZONES.get(name) : null;
    },
    hold,
  };
}

/** What a condition makes of what the clock shows. */
export interface Judgement {
  readonly of: (value: Value) => Value;
  /** Falling: of no other numbers is it another than of the next greater one. Null: of each it may be another. */
  readonly edges: readonly number[] | null;
}

const AS_IT_IS: Judgement = { of: (value) => value, edges: null };

/** @param constants what is compared with, between 0 and 365 where it is a number: see `checkClockBound` */
export function judgement(of: (value: Value) => Value, constants: readonly Value[]): Judgement {
  const numbers = constants.filter((constant) => typeof constant === 'number').map(Math.floor);
  const edges = new Set(numbers.flatMap((n) => [n + 1, n, n - 1]).filter((n) => n >= 0));
  return { of, edges: [...edges].sort((a, b) => b - a) };
}
