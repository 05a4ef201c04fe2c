import type { JsonValue } from '../events/event.model.js';
import { MIRRORED, type CompareOp } from '../features/compare-value.model.js';
import { ZONES } from '../platform/zone-cache.js';
import { listTrait } from '../profiles/list.model.js';
import { compileValue } from './compile-expression.js';
import { compileSample, type LeafScope } from './compile-leaf.js';
import type { EvalContext } from './eval-context.model.js';
import { ABSENT, type Value } from './expression-values.js';
import {
  childrenOf,
  type ClockExpression,
  type Expression,
  type FeatureReference,
} from './segment-expression.model.js';

/** A condition, or a part of one, as it is for one profile at one instant. */
export interface ExplainedCondition {
  /** As it is written. */
  readonly text: string;
  /** Place of the condition that it is a part of; null: it is the whole. */
  readonly parent: number | null;
  /** Null: unknown, because something that it reads is. */
  readonly value: boolean | null;
  /** Whether the whole is what it is because of this: of a conjunction that is not true, the parts that are not. */
  readonly decides: boolean;
  /** The first instant, ms, at which time alone may change it; Infinity: never. */
  readonly holdsUntil: number;
  /** Null: it compares no numbers, or has parts. */
  readonly comparison: ExplainedComparison | null;
  /** What it reads; empty where it has parts. */
  readonly reads: readonly ExplainedRead[];
}

/** `value op threshold`. */
export interface ExplainedComparison {
  /** Ages in ms. */
  readonly value: number;
  readonly op: CompareOp;
  readonly threshold: number;
  /** `value − threshold`. */
  readonly margin: number;
}

export const READ_KINDS = [
  'feature',
  'event',
  'step',
  'trait',
  'groups',
  'model',
  'segment',
  'consent',
  'list',
  'sample',
  'clock',
] as const;

/** One thing that a condition reads. */
export interface ExplainedRead {
  readonly kind: (typeof READ_KINDS)[number];
  /**
   * Of a feature that the condition defines itself, as the condition writes it; of a clock, what is read of it, as `time of
   * day in UTC`.
   */
  readonly name: string;
  /**
   * Null: it is unknown; of an event, how many of its latest times are known that a condition here asks for; of a step of a
   * funnel or sequence, its number, whether or not it was reached; of a time of day, as `22:15`.
   */
  readonly value: JsonValue;
  /** When the event happened that it is of, the newest of several, ms; null: not known, or there is none. Of a step: when it was reached. */
  readonly eventAt: number | null;
}

export interface ExplainScope {
  readonly leaves: LeafScope;
  readonly ctx: EvalContext;
  /** ms */
  readonly t: number;
  /** When each step was reached that a funnel got to, ms, by its index. */
  readonly funnelTimes: (index: number) => readonly number[];
  /** When a trait got its value, ms; null: it has none. */
  readonly traitTime: (name: string) => number | null;
  /** Until when, ms, time alone does not change membership in another segment. */
  readonly referenceHolds: (segmentKey: string) => number;
}

/**
 * Takes a condition apart for one profile at one instant: the whole first, each part behind what it is a part of. What
 * says whether a part is true is what decides memberships, so parts agree with the whole.
 * @param source the text that the offsets of the tree are into
 */
export function explainCondition(source: string, root: Expression, scope: ExplainScope): ExplainedCondition[] {
  const explained: ExplainedCondition[] = [];
  const visit = (node: Expression, parent: number | null, decides: boolean): void => {
    const { evaluate, hold } = compileValue(node, scope.leaves);
    const value = truth(evaluate(scope.ctx, scope.t));
    const parts = partsOf(node, value, scope);
    const place = explained.length;
    explained.push({
      text: parent === null ? source.trim() : textOf(source, node),
      ...{ parent, value, decides },
      holdsUntil: Math.min(hold === null ? Infinity : hold(scope.ctx, scope.t), referencesHold(node, scope)),
      comparison: parts.length > 0 ? null : comparisonOf(node, scope),
      reads: parts.length > 0 ? [] : readsOf(source, node, scope),
    });
    for (const part of parts) visit(part.node, place, decides && part.decides);
  };
  visit(root, null, true);
  return explained;
}

interface Part {
  readonly node: Expression;
  /** Whether the whole is what it is because of it. */
  readonly decides: boolean;
}

function partsOf(node: Expression, value: boolean | null, scope: ExplainScope): Part[] {
  if (node.kind === 'and' || node.kind === 'or') {
    // All parts make a conjunction true and an alternative not true; else those do that are so.
    const isByAll = (node.kind === 'and') === (value === true);
    return node.operands.map((operand) => {
      const said = truth(compileValue(operand, scope.leaves).evaluate(scope.ctx, scope.t));
      return { node: operand, decides: isByAll || (node.kind === 'and' ? said !== true : said === true) };
    });
  }
  if (node.kind === 'not') return [{ node: node.operand, decides: true }];
  if (node.kind === 'conditional' && node.type === 'bool') {
    const chosen = truth(compileValue(node.condition, scope.leaves).evaluate(scope.ctx, scope.t));
    return [
      { node: node.condition, decides: true },
      { node: node.consequent, decides: chosen === true },
      { node: node.alternate, decides: chosen === false },
    ];
  }
  return [];
}

/** Segments that a condition refers to have flips of their own, which it takes to be events. */
function referencesHold(node: Expression, scope: ExplainScope): number {
  const own = node.kind === 'membership' ? scope.referenceHolds(node.key) : Infinity;
  return childrenOf(node).reduce((least, child) => Math.min(least, referencesHold(child, scope)), own);
}

/** The text of a part with the brackets that belong to it: a tree has none, and so its offsets leave some out. */
function textOf(source: string, { start, end }: Pick<Expression, 'start' | 'end'>): string {
  let [from, to] = [start, end];
  const { unopened, unclosed } = looseBrackets(source.slice(start, end));
  for (let left = unclosed; left > 0; left--) {
    const next = /^\s*\)/.exec(source.slice(to));
    if (next === null) break;
    to += next[0].length;
  }
  for (let left = unopened; left > 0; left--) {
    const before = /\(\s*$/.exec(source.slice(0, from));
    if (before === null) break;
    from -= before[0].length;
  }
  return source.slice(from, to).trim();
}

/** Those in texts do not count. */
function looseBrackets(text: string): { readonly unopened: number; readonly unclosed: number } {
  let [unopened, unclosed] = [0, 0];
  for (const bracket of text.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '').match(/[()]/g) ?? []) {
    if (bracket === '(') unclosed++;
    else if (unclosed > 0) unclosed--;
    else unopened++;
  }
  return { unopened, unclosed };
}

function truth(value: Value): boolean | null {
  return typeof value === 'boolean' ? value : null;
}

function comparisonOf(node: Expression, { leaves, ctx, t }: ExplainScope): ExplainedComparison | null {
  switch (node.kind) {
    case 'count-within': {
      const times = ctx.lastTimes(leaves.indexOf(node.feature));
      const value = times.filter((time) => time > t - node.windowMs).length;
      return compared(value, node.op, node.constant);
    }
    case 'age-compare': {
      const [newest] = ctx.lastTimes(leaves.indexOf(node.feature));
      return newest === undefined ? null : compared(t - newest, node.op, node.ageMs);
    }
    case 'compare': {
      const [left, right] = [node.left, node.right].map((side) => compileValue(side, leaves).evaluate(ctx, t));
      if (typeof left !== 'number' || typeof right !== 'number') return null;
      return node.left.kind === 'literal' ? compared(right, MIRRORED[node.op], left) : compared(left, node.op, right);
    }
    default:
      return null;
  }
}

function compared(value: number, op: CompareOp, threshold: number): ExplainedComparison {
  return { value, op, threshold, margin: value - threshold };
}

/** Each once, in the order in which the condition names them. */
function readsOf(source: string, root: Expression, scope: ExplainScope): ExplainedRead[] {
  const reads = new Map<string, ExplainedRead>();
  const visit = (node: Expression): void => {
    const read = readOf(source, node, scope);
    for (const each of read === null ? [] : [read, ...stepsOf(node, scope)]) {
      const key = JSON.stringify([each.kind, each.name, each.kind === 'step' ? each.value : null]);
      if (!reads.has(key)) reads.set(key, each);
    }
    childrenOf(node).forEach(visit);
  };
  visit(root);
  return [...reads.values()];
}

/** Of a funnel that the condition defines: its steps, and when each was reached. */
function stepsOf(node: Expression, { leaves, funnelTimes }: ExplainScope): ExplainedRead[] {
  const steps = node.kind === 'feature' ? node.feature.inline?.options?.steps : undefined;
  if (node.kind !== 'feature' || steps === undefined) return [];
  const times = funnelTimes(leaves.indexOf(node.feature));
  return steps.map(({ event }, i) => ({ kind: 'step', name: event, value: i + 1, eventAt: times[i] ?? null }));
}

function readOf(source: string, node: Expression, scope: ExplainScope): ExplainedRead | null {
  const { leaves, ctx, t, traitTime } = scope;
  const valueOf = (): JsonValue => {
    const value = compileValue(node, leaves).evaluate(ctx, t);
    return value === ABSENT ? null : value;
  };
  switch (node.kind) {
    case 'feature': {
      const { eventTs } = ctx.feature(leaves.indexOf(node.feature), t);
      const name = node.feature.inline === null ? node.feature.name : textOf(source, node).replace(/\s+/g, ' ');
      return { kind: 'feature', name, value: valueOf(), eventAt: eventTs };
    }
    case 'last-time':
    case 'age-compare':
    case 'count-within': {
      const times = ctx.lastTimes(leaves.indexOf(node.feature));
      return { kind: 'event', name: eventOf(node.feature), value: times.length, eventAt: times[0] ?? null };
    }
    case 'trait':
      return { kind: 'trait', name: node.name, value: valueOf(), eventAt: traitTime(node.name) };
    case 'clock':
      return clockOf(node, valueOf(), scope);
    case 'groups':
      return { kind: 'groups', name: 'groups', value: valueOf(), eventAt: null };
    case 'model':
      return { kind: 'model', name: node.key, value: valueOf(), eventAt: null };
    case 'membership':
      return { kind: 'segment', name: node.key, value: valueOf(), eventAt: null };
    case 'consent':
      return { kind: 'consent', name: node.purpose, value: valueOf(), eventAt: null };
    case 'listed':
      return { kind: 'list', name: node.key, value: valueOf(), eventAt: traitTime(listTrait(node.key)) };
    case 'sample':
      return {
        kind: 'sample',
        name: node.name,
        value: compileSample(node.name).evaluate(ctx, t) as number,
        eventAt: null,
      };
    default:
      return null;
  }
}

const CLOCK_NAMES: Readonly<Record<ClockExpression['reading']['field'], string>> = {
  hour: 'hour',
  weekday: 'weekday',
  day: 'day of the month',
  month: 'month',
  between: 'time of day',
  days_until_anniversary: 'days until the anniversary',
};

/** What the clock shows, where it is only asked whether that lies between two times of day, too. */
function clockOf(
  { reading, zone }: ClockExpression,
  value: JsonValue,
  { leaves, ctx, t }: ExplainScope,
): ExplainedRead {
  const named = compileValue(zone, leaves).evaluate(ctx, t);
  const offsets = typeof named === 'string' ? ZONES.get(named) : null;
  const inZone = typeof named === 'string' ? ` in ${named}` : '';
  const shown = reading.field === 'between' && offsets !== null ? timeOfDay(offsets.toWall(t)) : value;
  return { kind: 'clock', name: `${CLOCK_NAMES[reading.field]}${inZone}`, value: shown, eventAt: null };
}

/** @param wallMs what a clock shows, as if it were UTC */
function timeOfDay(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(11, 16);
}

function eventOf({ name, inline }: FeatureReference): string {
  return inline?.events[0] ?? name;
}
