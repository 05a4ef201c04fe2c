import type { JsonValue } from '../events/event.model.js';
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

/**
 * What was sent along with an event, or is known of somebody: masked are values under the name of a personal trait,
 * however deep they are, texts that are or contain an identifier of the person, and what looks like an e-mail address or
 * a telephone number with its country code.
 * @param identifiers values, normalised
 */
export function maskPayload(
  payload: JsonValue,
  personal: ReadonlySet<string>,
  identifiers: ReadonlySet<string>,
): JsonValue {
  const sealed = sealedTypeOf(payload);
  if (sealed !== null) return maskSealed(sealed);
  if (typeof payload === 'string') return maskWithin(payload, identifiers);
  if (typeof payload === 'number') {
    return identifiers.has(String(payload)) || identifiers.has(`+${String(payload)}`) ? null : payload;
  }
  if (typeof payload !== 'object' || payload === null) return payload;
  if (Array.isArray(payload)) return payload.map((item) => maskPayload(item, personal, identifiers));
  return Object.fromEntries(
    Object.entries(payload).map(([name, value]) => [
      name,
      personal.has(name) ? maskValue(value) : maskPayload(value, personal, identifiers),
    ]),
  );
}

/** An address in a text, also as URLs have it. */
const ADDRESS_SIGN = /@|%40/;
const PHONE_WITHIN = /\+\d(?:[\s()./-]{0,2}\d){6,14}/g;
/** A telephone number as people write it, without its country code. */
const NATIONAL = /^[\d\s()./-]{6,30}$/;
/** Shorter identifiers are told from other words only where they are the whole text. */
const MIN_LENGTH_WITHIN = 4;
const MIN_DIGITS = 6;

function maskWithin(text: string, identifiers: ReadonlySet<string>): string {
  if (isIdentifier(text, identifiers)) return maskText(text);
  let shown = ADDRESS_SIGN.test(text)
    ? text.replace(/\S+/g, (word) => (ADDRESS_SIGN.test(word) ? maskText(word) : word))
    : text;
  if (text.includes('+')) shown = shown.replace(PHONE_WITHIN, (phone) => `+***${phone.slice(-2)}`);
  const lower = shown.toLowerCase();
  for (const identifier of identifiers) {
    if (identifier.length < MIN_LENGTH_WITHIN || !lower.includes(identifier.toLowerCase())) continue;
    shown = shown.replace(wordsOf(identifier), maskText(identifier));
  }
  return shown;
}

function isIdentifier(text: string, identifiers: ReadonlySet<string>): boolean {
  if (identifiers.has(text)) return true;
  const trimmed = text.trim();
  if (identifiers.has(trimmed) || identifiers.has(trimmed.toLowerCase())) return true;
  if (!NATIONAL.test(trimmed)) return false;
  const digits = trimmed.replace(/\D/g, '').replace(/^0+/, '');
  if (digits.length < MIN_DIGITS) return false;
  for (const identifier of identifiers) if (PHONE.test(identifier) && identifier.endsWith(digits)) return true;
  return false;
}

/** Where it stands by itself, in any case. */
function wordsOf(identifier: string): RegExp {
  const escaped = identifier.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{L}\\p{N}])`, 'giu');
}
