import { isSupportedCountry, parsePhoneNumberFromString, type CountryCode } from 'libphonenumber-js/min';
import { LRUCache } from 'lru-cache';
import type { ResolvedIdentifiers } from '../events/event.model.js';
import { WeftError } from '../platform/errors.js';
import { isZeros, type EmailRules, type NormaliserName } from './identity-rules.model.js';

export type DropReason = ResolvedIdentifiers['dropped'][number]['reason'];

/** The normalised value, or why there is none. Normalising a normalised value gives it back unchanged. */
type Normalised =
  { readonly value: string; readonly reason?: never } | { readonly value?: never; readonly reason: DropReason };

/** In UTF-16 code units, after trimming. */
const MAX_ID_LENGTH = 256;
/** RFC 5321 §4.5.3.1: a path holds 256 octets, two of which are its angle brackets. */
const MAX_EMAIL_LENGTH = 254;
const MAX_MAILBOX_LENGTH = 64;
const MAX_PHONE_LENGTH = 64;

const MALFORMED: Normalised = { reason: 'malformed' };
const TOO_LONG: Normalised = { reason: 'too_long' };
const BLOCKED: Normalised = { reason: 'blocked' };

/** Control characters, and halves of surrogate pairs: neither survives UTF-8 and a Postgres text column. */
const UNSTORABLE = /[\p{Cc}\p{Cs}]/u;
/** What no part of an address or handle holds: the above, invisible characters, separators. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Cf}\p{Z}]/u;
const NOT_IN_ADDRESS = /[()<>,;:"\\[\]]/;

export function normaliseIdentifier(
  normaliser: NormaliserName,
  raw: string,
  phones: PhoneParser,
  emails: EmailRules = EMAILS_AS_WRITTEN,
): Normalised {
  switch (normaliser) {
    case 'id':
      return normaliseId(raw);
    case 'device':
      return normaliseDevice(raw);
    case 'email':
      return normaliseEmail(raw, emails);
    case 'handle':
      return normaliseHandle(raw);
    case 'phone':
      return phones.parse(raw);
  }
}

/** Trim and NFC; case is kept, because the ids of other systems may differ by it. */
function normaliseId(raw: string): Normalised {
  const value = raw.trim().normalize('NFC');
  if (value.length > MAX_ID_LENGTH) return TOO_LONG;
  return value === '' || UNSTORABLE.test(value) ? MALFORMED : { value };
}

/**
 * Trim, lower case, NFC. The check is for what cannot be an address, not a proof that it is one: one `@`, a domain with
 * a dot inside, no quoted or bracketed parts. The mailbox is lower-cased too: case-sensitive ones exist on paper only.
 */
function normaliseEmail(raw: string, rules: EmailRules): Normalised {
  const value = foldCase(raw);
  if (value.length > MAX_EMAIL_LENGTH) return TOO_LONG;
  const at = value.indexOf('@');
  if (at < 1 || at > MAX_MAILBOX_LENGTH || at !== value.lastIndexOf('@')) return MALFORMED;
  const domain = value.slice(at + 1);
  const lastDot = domain.lastIndexOf('.');
  if (lastDot < 1 || lastDot === domain.length - 1 || domain.startsWith('.') || domain.includes('..')) return MALFORMED;
  if (UNPRINTABLE.test(value) || NOT_IN_ADDRESS.test(value)) return MALFORMED;
  return oneMailbox(value, value.slice(0, at), domain, rules);
}

const EMAILS_AS_WRITTEN: EmailRules = { gmail: false, plusTagDomains: new Set() };
const GMAIL = 'gmail.com';
const GMAIL_DOMAINS: ReadonlySet<string> = new Set([GMAIL, 'googlemail.com']);

/** The one address of a mailbox that its provider delivers to by several. */
function oneMailbox(value: string, mailbox: string, domain: string, rules: EmailRules): Normalised {
  const isGmail = rules.gmail && GMAIL_DOMAINS.has(domain);
  if (!isGmail && !rules.plusTagDomains.has(domain)) return { value };
  const plus = mailbox.indexOf('+');
  const untagged = plus === -1 ? mailbox : mailbox.slice(0, plus);
  const bare = isGmail ? untagged.replaceAll('.', '') : untagged;
  return bare === '' ? MALFORMED : { value: `${bare}@${isGmail ? GMAIL : domain}` };
}

/** Trim, braces off, lower case: the advertising ids of phones are UUIDs, which some report in upper case. */
function normaliseDevice(raw: string): Normalised {
  const value = foldCase(raw.replace(/^[\s{]+|[\s}]+$/g, ''));
  if (value.length > MAX_ID_LENGTH) return TOO_LONG;
  return value === '' || UNSTORABLE.test(value) ? MALFORMED : { value };
}

/** Trim, leading `@` off, lower case, NFC: social networks compare handles without regard to case. */
function normaliseHandle(raw: string): Normalised {
  const value = foldCase(raw).replace(/^@+/, '');
  if (value.length > MAX_ID_LENGTH) return TOO_LONG;
  return value === '' || UNPRINTABLE.test(value) ? MALFORMED : { value };
}

/** NFC on both sides of lower-casing, because either can undo the other's normal form. */
function foldCase(raw: string): string {
  return raw.trim().normalize('NFC').toLowerCase().normalize('NFC');
}

/**
 * Phone numbers to E.164, an extension kept as in RFC 3966 (`;ext=`), because it reaches another person.
 *
 * A number must be *possible* (length for its country), not *valid* (ranges in use): ranges change faster than software
 * is updated, and a refused number loses a real person. Parsing takes about 40 µs, hence a cache of its own, which the
 * far more numerous cookies of other caches cannot push out.
 */
export class PhoneParser {
  readonly #cache: LRUCache<string, Normalised>;
  readonly #options: { extract: false; defaultCountry?: CountryCode };

  /** @throws WeftError CONFIG_INVALID if the region is not an ISO 3166-1 alpha-2 code with a numbering plan */
  constructor(defaultRegion: string | null, cacheEntries = 20_000) {
    this.#cache = new LRUCache({ max: cacheEntries });
    if (defaultRegion === null) {
      this.#options = { extract: false };
      return;
    }
    if (!isSupportedCountry(defaultRegion)) {
      throw new WeftError('CONFIG_INVALID', `no phone numbering plan for region ${defaultRegion}`, {
        where: 'identity.defaultRegion',
        hint: 'Use an ISO 3166-1 alpha-2 code in upper case, such as GB.',
      });
    }
    this.#options = { extract: false, defaultCountry: defaultRegion };
  }

  forget(): void {
    this.#cache.clear();
  }

  parse(raw: string): Normalised {
    const text = raw.trim();
    if (text.length > MAX_PHONE_LENGTH) return TOO_LONG;
    let result = this.#cache.get(text);
    if (result === undefined) {
      result = this.#parse(text);
      this.#cache.set(text, result);
    }
    return result;
  }

  #parse(text: string): Normalised {
    const phone = parsePhoneNumberFromString(text.replace(/^tel:/i, ''), this.#options);
    if (phone?.isPossible() !== true) return MALFORMED;
    if (isZeros(phone.nationalNumber)) return BLOCKED;
    return { value: phone.ext === undefined ? phone.number : `${phone.number};ext=${phone.ext}` };
  }
}
