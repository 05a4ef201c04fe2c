import type { JsonObject, JsonValue } from './event.model.js';

export type JsonShape =
  | 'clean'
  /** Has keys that must be dropped; {@link repairJson} does it. */
  | 'needs_repair'
  | 'not_json'
  | 'too_deep'
  | 'too_many_nodes';

/**
 * Looks at the structure of a would-be JSON object, not at its texts. A NaN or an infinity counts as JSON: it is
 * written as null, as `JSON.stringify` does.
 *
 * @param maxDepth levels of objects and arrays, the object itself being the first; bounds the recursion.
 * @param budget values still allowed; counted down, so that several objects can share it.
 */
export function inspectJsonObject(value: unknown, maxDepth: number, budget: { nodes: number }): JsonShape {
  return isPlainObject(value) ? inspect(value, maxDepth, budget) : 'not_json';
}

function inspect(value: object, levels: number, budget: { nodes: number }): JsonShape {
  if (levels <= 0) return 'too_deep';
  let shape: JsonShape = 'clean';
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) {
      const inner = inspectValue(item, levels, budget);
      if (inner === 'needs_repair') shape = inner;
      else if (inner !== 'clean') return inner;
    }
    return shape;
  }
  if (!isPlainObject(value)) return 'not_json';
  for (const key of Object.keys(value)) {
    if (isForbiddenKey(key)) {
      shape = 'needs_repair';
      continue;
    }
    const inner = inspectValue(value[key], levels, budget);
    if (inner === 'needs_repair') shape = inner;
    else if (inner !== 'clean') return inner;
  }
  return shape;
}

function inspectValue(value: unknown, levels: number, budget: { nodes: number }): JsonShape {
  if (--budget.nodes < 0) return 'too_many_nodes';
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'undefined':
      return 'clean';
    case 'object':
      return value === null ? 'clean' : inspect(value, levels - 1, budget);
    default:
      return 'not_json';
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Keys that reach an object's prototype when copied carelessly. */
function isForbiddenKey(key: string): boolean {
  return key === '__proto__' || key === 'constructor' || key === 'prototype';
}

/** A copy without forbidden keys, all texts and keys clean. */
export function repairJson(object: JsonObject): JsonObject {
  const copy: JsonObject = {};
  for (const key of Object.keys(object)) {
    const value = object[key];
    if (value !== undefined && !isForbiddenKey(key)) copy[cleanText(key)] = repairValue(value);
  }
  return copy;
}

function repairValue(value: JsonValue): JsonValue {
  if (typeof value === 'string') return cleanText(value);
  if (typeof value !== 'object' || value === null) return value;
  return Array.isArray(value) ? value.map(repairValue) : repairJson(value);
}

const SUSPECT = /[\0\ud800-\udfff]/;

/** The text with U+0000, which PostgreSQL cannot store in text, and lone surrogates each replaced by U+FFFD. */
export function cleanText(text: string): string {
  if (!SUSPECT.test(text)) return text;
  // Encoding to UTF-8 replaces lone surrogates (WHATWG Encoding, USVString conversion).
  return Buffer.from(text).toString().replaceAll('\0', '\ufffd');
}
