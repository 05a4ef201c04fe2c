import { isList, type FeatureValue } from './feature.model.js';

export const COMPARE_OPS = ['<', '<=', '>', '>=', '==', '!='] as const;
export type CompareOp = (typeof COMPARE_OPS)[number];

/** `a op b` is `b MIRRORED[op] a`. */
export const MIRRORED = {
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
  '==': '==',
  '!=': '!=',
} as const satisfies Readonly<Record<CompareOp, CompareOp>>;

export type Constant = number | string | boolean;

/**
 * `value op constant`. A list or a map is compared by how many items it has. Null: there is no value, or one of another
 * type than the constant's.
 */
export function compareValue({ value }: FeatureValue, op: CompareOp, constant: Constant): boolean | null {
  const left =
    typeof value === 'object' && value !== null ? (isList(value) ? value : Object.keys(value)).length : value;
  if (left === null || typeof left !== typeof constant) return null;
  switch (op) {
    case '<':
      return left < constant;
    case '<=':
      return left <= constant;
    case '>':
      return left > constant;
    case '>=':
      return left >= constant;
    case '==':
      return left === constant;
    case '!=':
      return left !== constant;
  }
}
