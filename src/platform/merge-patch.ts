/** A JSON value, as far as patching it goes. */
type Json = unknown;

const UNSAFE = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Applies a JSON merge patch (RFC 7396, section 2): null removes a member, an object is merged into, anything else
 * replaces. Neither argument is changed. Keys that would reach an object's prototype are left out.
 */
export function applyMergePatch(target: Json, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const merged: Record<string, Json> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (UNSAFE.has(key)) continue;
    if (value === null) Reflect.deleteProperty(merged, key);
    else merged[key] = applyMergePatch(Object.hasOwn(merged, key) ? merged[key] : undefined, value);
  }
  return merged;
}

/**
 * One patch that does what `first` and then `second` do; where `first` removes a member or makes it no object and
 * `second` merges into it, the second stands alone, for no merge patch says both.
 */
export function composeMergePatches(first: Json, second: Json): Json {
  if (!isObject(first) || !isObject(second)) return second;
  const composed: Record<string, Json> = { ...first };
  for (const [key, value] of Object.entries(second)) {
    if (UNSAFE.has(key)) continue;
    composed[key] = Object.hasOwn(composed, key) ? composeMergePatches(composed[key], value) : value;
  }
  return composed;
}

function isObject(value: Json): value is Record<string, Json> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
