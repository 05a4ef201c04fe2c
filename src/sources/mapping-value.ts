import type { JsonValue } from '../events/event.model.js';
import { parseJsonRow } from './parse-json-row.js';

export const COLUMN_TYPES = ['string', 'int', 'double', 'bool', 'json'] as const;
export type ColumnType = (typeof COLUMN_TYPES)[number];

export const TRANSFORMS = ['trim', 'lower', 'upper', 'stripDecimal', 'digits'] as const;
export type Transform = (typeof TRANSFORMS)[number];

const DECIMAL_NUMBER = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?\s*$/;
const WITH_COMMA = /^\s*[+-]?\d[\d.]*,[\d.,]*\s*$/;
const ZERO_FRACTION = /\.0+$/;
const NO_DIGIT = /\D+/g;
const TRUE_TEXTS = new Set(['true', '1', 'yes', 'y', 't']);
const FALSE_TEXTS = new Set(['false', '0', 'no', 'n', 'f']);
const MAX_QUOTED_LENGTH = 40;

/** Why a value cannot be what the mapping says it is. */
export class ValueFault {
  constructor(readonly reason: string) {}
}

const APPLY: Readonly<Record<Transform, (text: string) => string>> = {
  trim: (text) => text.trim(),
  lower: (text) => text.toLowerCase(),
  upper: (text) => text.toUpperCase(),
  /** `17850.0` → `17850`: a number that a spreadsheet or pandas took for a decimal. */
  stripDecimal: (text) => text.replace(ZERO_FRACTION, ''),
  digits: (text) => text.replace(NO_DIGIT, ''),
};

export function transform(text: string, transforms: readonly Transform[]): string {
  let changed = text;
  for (const name of transforms) changed = APPLY[name](changed);
  return changed;
}

/** A cell's text or a JSON value as a value of the type, or a fault that says why not. Null never comes out of text. */
export function convert(value: JsonValue, type: ColumnType): JsonValue | ValueFault {
  switch (type) {
    case 'string':
      if (typeof value === 'string') return value;
      return typeof value === 'object' ? fault(value, 'a text') : String(value);
    case 'int': {
      const number = toNumber(value);
      return Number.isSafeInteger(number) ? number : fault(value, 'an integer');
    }
    case 'double': {
      const number = toNumber(value);
      return Number.isFinite(number) ? number : fault(value, 'a number');
    }
    case 'bool':
      return toBool(value);
    case 'json':
      return typeof value === 'string' ? parseJson(value) : value;
  }
}

function toNumber(value: JsonValue): number {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || !DECIMAL_NUMBER.test(value)) return Number.NaN;
  // Adding zero turns -0 into 0, which JSON and SQL do not tell apart.
  return Number(value) + 0;
}

function toBool(value: JsonValue): boolean | ValueFault {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'object') return fault(value, 'true or false');
  const text = String(value).trim().toLowerCase();
  if (TRUE_TEXTS.has(text)) return true;
  return FALSE_TEXTS.has(text) ? false : fault(value, 'true or false');
}

function parseJson(text: string): JsonValue | ValueFault {
  try {
    return parseJsonRow(text);
  } catch {
    return new ValueFault('not valid JSON');
  }
}

function fault(value: JsonValue, expected: string): ValueFault {
  const shown = typeof value === 'string' ? value : JSON.stringify(value);
  const hint = typeof value === 'string' && WITH_COMMA.test(value) ? ' ("decimal" of "clean" reads commas)' : '';
  return new ValueFault(`${JSON.stringify(shown.slice(0, MAX_QUOTED_LENGTH))} is not ${expected}${hint}`);
}
