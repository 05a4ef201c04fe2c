import { PRIVATE_PROPERTIES, type JsonValue } from '../events/event.model.js';
import type { FeatureEvent } from './feature.model.js';

const ROOTS = ['properties', 'traits', 'context'] as const;
type Root = (typeof ROOTS)[number];

const KEY = /^[A-Za-z_$][\w$-]{0,99}$/;
const MAX_KEYS = 8;

export interface ValuePath {
  readonly root: Root;
  readonly keys: readonly string[];
}

/**
 * Reads a dotted path such as `properties.total`.
 *
 * @throws RangeError with the accepted form
 */
export function parseValuePath(text: string): ValuePath {
  const [first, ...keys] = text.split('.');
  const root = ROOTS.find((name) => name === first);
  if (root === undefined || keys.length === 0 || keys.length > MAX_KEYS || !keys.every((key) => KEY.test(key))) {
    throw new RangeError(
      `"${text}" is not a path to a value: begin with ${ROOTS.join(', ')} and name the keys, as in properties.total`,
    );
  }
  if (keys.includes(PRIVATE_PROPERTIES)) {
    throw new RangeError(`"${text}" is private: what messages say can be seen by admins and is no feature`);
  }
  return { root, keys };
}

/** What the path leads to, through own keys of objects only; undefined if it leads nowhere. */
export function valueAt(event: FeatureEvent, path: ValuePath): JsonValue | undefined {
  let value: JsonValue | undefined = event[path.root];
  for (const key of path.keys) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key))
      return undefined;
    value = value[key];
  }
  return value;
}
