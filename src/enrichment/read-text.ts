import type { JsonObject, JsonValue } from '../events/event.model.js';
import type { TextReader } from '../platform/text-reader.js';

/**
 * Language and sentiment of the first of these properties that holds a text; the text itself is not repeated.
 *
 * @param paths below the properties of an event, as `review.text`
 * @returns null where none does
 */
export function readText(properties: JsonObject, paths: readonly string[], reader: TextReader): JsonObject | null {
  for (const path of paths) {
    const text = textAt(properties, path);
    if (text === null) continue;
    const { language, sentiment } = reader.read(text, null);
    return {
      text: {
        property: path,
        ...(language === null ? {} : { language }),
        ...(sentiment === null ? {} : { sentiment: { compound: sentiment.compound, label: sentiment.label } }),
      },
    };
  }
  return null;
}

function textAt(properties: JsonObject, path: string): string | null {
  let value: JsonValue | undefined = properties;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) return null;
    value = value[key];
  }
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}
