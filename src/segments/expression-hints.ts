import { nearDuration } from '../platform/duration.js';
import { nearestName } from '../platform/near-names.js';
import type { Expression, ExpressionType } from './segment-expression.model.js';

/* What to write in place of what is well formed and has no meaning. */

export const SINCE_HINT = 'write since("event") >= "5m", and since("event") < "6m" with it for a span of time';

/** For a value where a condition belongs. */
export function conditionHint(type: ExpressionType, what: string): string {
  if (what === 'operand of !') return 'put the comparison in parentheses: !(… > 0)';
  if (type === 'int' || type === 'double') return 'compare it with a number, as in `… > 0`';
  if (type === 'duration') return 'compare it with a duration, as in `since("event") > "7d"`';
  if (type === 'map') return 'compare one of its values, as in `f.spend_by_category["shoes"] > 10`';
  if (type === 'list') return 'ask about its items, as in `traits.tags.exists(tag, tag == "vip")`';
  return 'compare it with a value, as in `… == "text"`';
}

/** For a word that is no name: another case, a text without quotes. */
export function nameHint(name: string, features: Iterable<string>): string {
  const lower = name.toLowerCase();
  if (lower === 'true' || lower === 'false') return `write ${lower}`;
  if (lower === 'null' || lower === 'none' || lower === 'nil') return 'use has(…) to ask whether a value is known';
  const near = nearestName(name, features);
  if (near !== undefined && name.length > 2) return `write f.${near} for the feature, or "${name}" for a text`;
  return `write "${name}" for a text; features are written f.name, traits traits.name`;
}

/** For two values of different types, one of them mostly a constant. */
export function compareHint(left: Expression, right: Expression): string | undefined {
  const [constant, other] = right.kind === 'literal' ? [right, left] : [left, right];
  if (constant.kind !== 'literal') return 'turn one into the type of the other by int(…), double(…) or string(…)';
  const value = String(constant.value);
  if (typeof constant.value !== 'string') {
    if (other.type === 'string') return `write "${value}" in quotes`;
    return other.type === 'bool' ? 'compare it with true or false, or leave the comparison out' : undefined;
  }
  if (/^\d{4}-\d{2}-\d{2}/.test(value)) return `write timestamp("${value}")`;
  const isDuration = nearDuration(value) !== undefined;
  if (isDuration && other.kind === 'last-time') return 'to ask how long ago it was, write since(…) in place of last(…)';
  if (isDuration) return 'a duration is compared with since("event")';
  if (other.type === 'bool') {
    return /^(?:true|false)$/i.test(value)
      ? `write ${value.toLowerCase()} without quotes`
      : 'it is true or false: leave the comparison out';
  }
  if (value.trim() !== '' && Number.isFinite(Number(value))) return `write ${String(Number(value))} without quotes`;
  return 'compare it with a number, without quotes';
}
