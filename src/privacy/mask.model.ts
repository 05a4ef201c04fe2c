import type { JsonObject, JsonValue } from '../events/event.model.js';
import { maskSealed, sealedTypeOf } from '../profiles/trait-seal.model.js';

/*
 * What is shown of personal data to those who may not see it: that there is something, and of which form, so that
 * programs which read the field go on. At most the first character of a text is told, of a phone number the last two
 * digits. Equal masks say nothing about what is behind them.
 */

const PHONE = /^\+\d{6,15}$/;

/** `a***@***.com` for an e-mail address, `+***42` for a phone number, else `a***`; `***` for what is short. */
export function maskText(text: string): string {
  if (PHONE.test(text)) return `+***${text.slice(-2)}`;
  const at = text.lastIndexOf('@');
  return at > 0 ? maskAddress(text, at) : maskWord(text);
}

function maskAddress(text: string, at: number): string {
  const dot = text.lastIndexOf('.');
  const end = text.slice(dot + 1);
  return `${maskWord(text.slice(0, at))}@***${dot > at && /^[a-z]{2,12}$/i.test(end) ? `.${end}` : ''}`;
}

function maskWord(text: string): string {
  const first = text.codePointAt(0);
  return first === undefined || text.length < 3 ? '***' : `${String.fromCodePoint(first)}***`;
}

/** The form of a value: texts masked, numbers and truth values null, lists and objects of the same size. */
export function maskValue(value: JsonValue): JsonValue {
  const sealed = sealedTypeOf(value);
  if (sealed !== null) return maskSealed(sealed);
  if (typeof value === 'string') return maskText(value);
  if (typeof value !== 'object' || value === null) return null;
  if (Array.isArray(value)) return value.map(maskValue);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, maskValue(inner)]));
}

/** Traits by name; those named are masked. */
export function maskTraits(traits: JsonObject, personal: ReadonlySet<string>): JsonObject {
  if (!Object.keys(traits).some((name) => personal.has(name))) return traits;
  return Object.fromEntries(
    Object.entries(traits).map(([name, value]) => [name, personal.has(name) ? maskValue(value) : value]),
  );
}

/**
 * What was sent along with an event: masked are values under the name of a personal trait, however deep they are, texts
 * that are an identifier of the event, and words that look like an e-mail address.
 * @param identifiers values, normalised
 */
export function maskPayload(
  payload: JsonValue,
  personal: ReadonlySet<string>,
  identifiers: ReadonlySet<string>,
): JsonValue {
  if (typeof payload === 'string') {
    if (identifiers.has(payload) || identifiers.has(payload.trim().toLowerCase())) return maskText(payload);
    return payload.includes('@')
      ? payload.replace(/\S+/g, (word) => (word.includes('@') ? maskText(word) : word))
      : payload;
  }
  if (typeof payload === 'number') return identifiers.has(String(payload)) ? null : payload;
  if (typeof payload !== 'object' || payload === null) return payload;
  if (Array.isArray(payload)) return payload.map((item) => maskPayload(item, personal, identifiers));
  return Object.fromEntries(
    Object.entries(payload).map(([name, value]) => [
      name,
      personal.has(name) ? maskValue(value) : maskPayload(value, personal, identifiers),
    ]),
  );
}
