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

/** Identifiers of one event whose spellings are looked for, of each kind; no event has more of the others. */
const MAX_SPELLED = 20;
/** What may stand between the digits of a telephone number. */
const BETWEEN = String.raw`\s().\/\u00a0\u2010-\u2015-`;
/** Digits of a country code, which may be left out or written as 0. */
const COUNTRY_DIGITS = 3;
const LEAST_DIGITS = 6;
/** No telephone number or address is spelled without one of these. */
const MAY_SPELL = /\d|@|\uff20|%40|at/i;

interface Masked {
  readonly personal: ReadonlySet<string>;
  readonly identifiers: ReadonlySet<string>;
  readonly spellings: () => Spellings;
}

/** How telephone numbers and addresses may be spelled in a text, each with its mask. */
type Spellings = readonly (readonly [RegExp, string])[];

/**
 * What was sent along with an event, or is known of somebody: masked are values under the name of a personal trait,
 * however deep they are, texts that are an identifier of the person, in texts and names of fields all that is one or looks
 * like an e-mail address or a telephone number with its country code, and telephone numbers and addresses of the person in
 * whatever spelling.
 * @param identifiers values, normalised
 */
export function maskPayload(
  payload: JsonValue,
  personal: ReadonlySet<string>,
  identifiers: ReadonlySet<string>,
): JsonValue {
  let made: Spellings | null = null;
  // Most texts have neither digits nor anything like @: what they are looked through for is made where it is needed.
  const spellings = (): Spellings => (made ??= spellingsOf([...identifiers]));
  return maskWithin(payload, { personal, identifiers, spellings });
}

function spellingsOf(identifiers: readonly string[]): Spellings {
  const phones = identifiers.filter((value) => PHONE.test(value)).slice(0, MAX_SPELLED);
  const addresses = identifiers.filter((value) => value.includes('@')).slice(0, MAX_SPELLED);
  return [
    ...phones.map((phone) => [spellingsOfPhone(phone), maskText(phone)] as const),
    ...addresses.map((address) => [spellingsOfAddress(address), maskText(address)] as const),
  ];
}

function maskWithin(value: JsonValue, masked: Masked): JsonValue {
  const { personal, identifiers, spellings } = masked;
  const sealed = sealedTypeOf(value);
  if (sealed !== null) return maskSealed(sealed);
  if (typeof value === 'string') return maskWords(value, masked);
  if (typeof value === 'number') {
    const text = String(value);
    return identifiers.has(text) ||
      identifiers.has(`+${text}`) ||
      (text.length >= LEAST_DIGITS && spellings().some(([spelling]) => text.search(spelling) !== -1))
      ? null
      : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => maskWithin(item, masked));
  const shown = new Map<string, JsonValue>();
  for (const [name, inner] of Object.entries(value)) {
    const free = freeName(shown, maskWords(name, masked));
    shown.set(free, personal.has(name) ? maskValue(inner) : maskWithin(inner, masked));
  }
  return Object.fromEntries(shown);
}

/** The text, of which all that names somebody is masked. */
function maskWords(text: string, { identifiers, spellings }: Masked): string {
  if (isIdentifier(text, identifiers)) return maskText(text);
  let shown = text;
  if (MAY_SPELL.test(text)) for (const [spelling, mask] of spellings()) shown = shown.replace(spelling, mask);
  if (ADDRESS_SIGN.test(shown)) {
    shown = shown.replace(/\S+/g, (word) =>
      ADDRESS_SIGN.test(word) ? maskText(word.replace(/\uff20|%40/gi, '@')) : word,
    );
  }
  if (text.includes('+')) shown = shown.replace(PHONE_WITHIN, (phone) => `+***${phone.slice(-2)}`);
  const lower = shown.toLowerCase();
  for (const identifier of identifiers) {
    if (identifier.length < MIN_LENGTH_WITHIN || !lower.includes(identifier.toLowerCase())) continue;
    shown = shown.replace(wordsOf(identifier), maskText(identifier));
  }
  return shown;
}

/** Two names of fields may have one mask. */
function freeName(taken: ReadonlyMap<string, JsonValue>, name: string): string {
  if (!taken.has(name)) return name;
  let number = 2;
  while (taken.has(`${name} (${String(number)})`)) number++;
  return `${name} (${String(number)})`;
}

/** With or without its country code, and with whatever people write between digits. @param phone E.164 */
function spellingsOfPhone(phone: string): RegExp {
  const digits = phone.slice(1);
  const sure = digits.slice(Math.max(0, Math.min(COUNTRY_DIGITS, digits.length - LEAST_DIGITS)));
  const spelled = Array.from(sure).join(`[${BETWEEN}]{0,3}`);
  return new RegExp(String.raw`(?:[+(\d][\d${BETWEEN}]{0,12})?${spelled}\d*`, 'g');
}

/** With whatever people write for @. */
function spellingsOfAddress(address: string): RegExp {
  const at = address.lastIndexOf('@');
  const [local, domain] = [address.slice(0, at), address.slice(at + 1)].map((part) =>
    part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`),
  );
  return new RegExp(String.raw`${local ?? ''}\s{0,3}(?:@|\uff20|%40|[([{]at[)\]}]|\bat\b)\s{0,3}${domain ?? ''}`, 'gi');
}

/** An address in a text, also as URLs have it. */
const ADDRESS_SIGN = /@|\uff20|%40/i;
const PHONE_WITHIN = /\+\d(?:[\s()./-]{0,2}\d){6,14}/g;
/** A telephone number as people write it, without its country code. */
const NATIONAL = /^[\d\s()./-]{6,30}$/;
/** Shorter identifiers are told from other words only where they are the whole text. */
const MIN_LENGTH_WITHIN = 4;
const MIN_DIGITS = 6;

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
