/** What comparison levels of linkage models ask of two records, and how their columns are read. */

/** One change of a value on its way from its column. A value that a step makes nothing of becomes missing. */
export type ValueStep =
  | { readonly kind: 'lower' | 'upper' | 'trim' | 'digits' | 'soundex' | 'year' | 'plain' }
  /** `from` counts from 1, from the end if negative; `length` is null for all the rest. */
  | { readonly kind: 'part'; readonly from: number; readonly length: number | null }
  | { readonly kind: 'missing_if'; readonly text: string }
  | { readonly kind: 'extract'; readonly pattern: string; readonly group: number }
  /** To seconds since 1970, by a format of `strptime`; null reads ISO 8601. */
  | { readonly kind: 'seconds'; readonly format: string | null }
  /** An item of a list, from 1, from the end if negative. */
  | { readonly kind: 'item'; readonly at: number };

/** A column of a record with the steps that its values go through. */
export interface ValueExpression {
  readonly column: string;
  readonly steps: readonly ValueStep[];
}

/** The value of an expression in the left or in the right record of a pair, or the same for all pairs. */
export type Operand =
  | { readonly side: 'left' | 'right'; readonly expression: ValueExpression }
  | { readonly side: 'none'; readonly text: string };

/**
 * Numbers that two values give.
 *
 * - texts: `levenshtein`, `damerau_levenshtein` (edits), `jaro`, `jaro_winkler`, `jaccard` (0 to 1)
 * - lists: `common` (how many items both have), `uncommon` (how many of the shorter list's the longer has not),
 *   `shorter` (length of the shorter list), `token_overlap` (0 to 1, see docs), and the texts' measures between the
 *   nearest items (`nearest_…`)
 * - numbers: `difference`, `relative_difference` (of the greater one); times: `seconds_apart`
 * - two values each, latitude and longitude in degrees: `km_apart`
 */
export const TEXT_MEASURES = ['levenshtein', 'damerau_levenshtein', 'jaro', 'jaro_winkler', 'jaccard'] as const;
export type TextMeasure = (typeof TEXT_MEASURES)[number];
export type Measure =
  | TextMeasure
  | `nearest_${Exclude<TextMeasure, 'jaccard'>}`
  | 'common'
  | 'uncommon'
  | 'shorter'
  | 'token_overlap'
  | 'difference'
  | 'seconds_apart'
  | 'relative_difference'
  | 'km_apart';

export type ComparisonSign = '=' | '<>' | '<' | '<=' | '>' | '>=';

/** As in SQL, what is asked of a missing value is neither true nor false. */
export type Condition =
  | { readonly kind: 'else' }
  | { readonly kind: 'all' | 'any'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  | { readonly kind: 'missing'; readonly operand: Operand }
  | { readonly kind: 'equal'; readonly left: Operand; readonly right: Operand }
  | {
      readonly kind: 'measure';
      readonly measure: Measure;
      readonly operands: readonly Operand[];
      readonly sign: ComparisonSign;
      readonly bound: number;
    };

/** The columns that a condition reads. */
export function columnsOf(condition: Condition): string[] {
  switch (condition.kind) {
    case 'else':
      return [];
    case 'all':
    case 'any':
      return [...new Set(condition.of.flatMap(columnsOf))];
    case 'not':
      return columnsOf(condition.of);
    case 'missing':
      return columnsOfOperands([condition.operand]);
    case 'equal':
      return columnsOfOperands([condition.left, condition.right]);
    case 'measure':
      return columnsOfOperands(condition.operands);
  }
}

function columnsOfOperands(operands: readonly Operand[]): string[] {
  return [...new Set(operands.flatMap((operand) => (operand.side === 'none' ? [] : [operand.expression.column])))];
}

/** The column that a condition demands to be equal on both sides, if that is all it does; else null. */
export function exactColumnOf(condition: Condition): string | null {
  const columns = exactColumnsOf(condition);
  return columns?.length === 1 ? (columns[0] ?? null) : null;
}

/** The columns that a condition demands to be equal on both sides, if that is all it does; else null. */
export function exactColumnsOf(condition: Condition): string[] | null {
  if (condition.kind === 'all') {
    const columns: string[] = [];
    for (const part of condition.of) {
      const exact = exactColumnsOf(part);
      if (exact === null) return null;
      columns.push(...exact);
    }
    return columns;
  }
  if (condition.kind !== 'equal') return null;
  const { left, right } = condition;
  if (left.side === 'none' || right.side === 'none' || left.side === right.side) return null;
  const isPlain = left.expression.steps.length === 0 && right.expression.steps.length === 0;
  return isPlain && left.expression.column === right.expression.column ? [left.expression.column] : null;
}
