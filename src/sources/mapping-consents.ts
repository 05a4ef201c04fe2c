import type { JsonObject, JsonValue } from '../events/event.model.js';
import { wordOf } from '../events/consent-context.model.js';
import { convert, ValueFault } from './mapping-value.js';

/** What a row says of purposes, in the form of events, or a fault that says what cannot be read. */
export function consentWords(values: JsonObject): JsonObject | ValueFault {
  const words: JsonObject = {};
  for (const [purpose, value] of Object.entries(values)) {
    const word = wordOf(value) ?? wordOf(asBoolean(value));
    if (word === null) return new ValueFault(`the consent to "${purpose}" is neither granted nor denied`);
    words[purpose] = word.expiresAt === null ? word.status : { ...word };
  }
  return words;
}

function asBoolean(value: JsonValue): JsonValue {
  const found = convert(value, 'bool');
  return found instanceof ValueFault ? null : found;
}
