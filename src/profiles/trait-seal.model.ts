import { createCipheriv, createDecipheriv, createHmac, timingSafeEqual } from 'node:crypto';
import type { JsonValue } from '../events/event.model.js';
import type { InstallationSecret } from '../platform/installation-secret.js';

/*
 * Values of sealed traits, as they are held and stored: a text
 *
 *     $sealed:1<type>:<base64url of 16 bytes tag, then the ciphertext>
 *
 * SIV (Rogaway and Shrimpton, "Deterministic Authenticated-Encryption", 2006; the construction of RFC 5297) with
 * HMAC-SHA-256 cut to 128 bits as its PRF and AES-256 in counter mode. Tag: of the trait's name, as JSON, and the value, as
 * JSON, padded with blanks to a multiple of 16 bytes; it is the first counter block, too. So of one trait equal values are
 * equal texts, different values are different ones, and nothing else can be told but the type, one letter of
 * `SEALED_TYPES`, and the length, to 16 bytes. Of two traits equal values have nothing in common.
 */

const PREFIX = '$sealed:1';
const TAG_BYTES = 16;
const BLOCK_BYTES = 16;
const ALGORITHM = 'aes-256-ctr';

/** By the letter that says so. */
const SEALED_TYPES = new Map([
  ['s', 'string'],
  ['n', 'number'],
  ['b', 'boolean'],
  ['l', 'list'],
  ['o', 'object'],
] as const);
export type SealedType = typeof SEALED_TYPES extends ReadonlyMap<string, infer T> ? T : never;
type Letter = typeof SEALED_TYPES extends ReadonlyMap<infer L, string> ? L : never;

/** Byte 0 of a key in the index of profiles that is of a sealed value; 16 bytes of an HMAC follow. */
const SEALED_KEY = 0x60;

/** Seals the values of one trait. */
export interface ValueSeal {
  readonly seal: (value: JsonValue) => JsonValue;
  readonly open: (value: JsonValue) => JsonValue;
}

/** As {@link TraitSealer.for}. */
export type SealFor = (name: string) => ValueSeal;

/** The type of a sealed value; null: it is none. A text that only looks like one counts as one. */
export function sealedTypeOf(value: JsonValue | undefined): SealedType | null {
  if (typeof value !== 'string' || !value.startsWith(PREFIX) || value[PREFIX.length + 1] !== ':') return null;
  return SEALED_TYPES.get(value[PREFIX.length] as Letter) ?? null;
}

/**
 * Seals and opens values of traits, by keys of the installation's secret. Without a secret, whatever has to be sealed or
 * opened fails with NOT_CONFIGURED.
 */
export class TraitSealer {
  readonly #secret: InstallationSecret;
  #keys: { readonly tag: Buffer; readonly text: Buffer; readonly index: Buffer } | null = null;

  constructor(secret: InstallationSecret) {
    this.#secret = secret;
  }

  /** @throws WeftError NOT_CONFIGURED where the installation has no secret */
  demand(): void {
    this.#derived();
  }

  readonly for: SealFor = (name) => ({
    seal: (value) => this.seal(name, value),
    open: (value) => this.open(name, value),
  });

  /** Null, which says that there is no value, stays as it is. */
  seal(name: string, value: JsonValue): JsonValue {
    if (value === null) return null;
    const text = padded(JSON.stringify(value));
    const tag = this.#tagOf(name, text);
    const cipher = createCipheriv(ALGORITHM, this.#derived().text, tag);
    const sealed = Buffer.concat([tag, cipher.update(text), cipher.final()]);
    return `${PREFIX}${letterOf(value)}:${sealed.toString('base64url')}`;
  }

  /** The value, and the items of a list, as they were before they were sealed; what is not sealed as it is. */
  open(name: string, value: JsonValue): JsonValue {
    if (Array.isArray(value)) {
      return value.some((item) => sealedTypeOf(item) !== null) ? value.map((item) => this.#opened(name, item)) : value;
    }
    return this.#opened(name, value);
  }

  /** By what profiles are found who have a value with this key: nothing but whether two are equal can be told of it. */
  searchKey(name: string, key: Buffer): Buffer {
    const hmac = createHmac('sha256', this.#derived().index).update(JSON.stringify(name)).update(key).digest();
    return Buffer.concat([Buffer.of(SEALED_KEY), hmac.subarray(0, TAG_BYTES)]);
  }

  #opened(name: string, value: JsonValue): JsonValue {
    return sealedTypeOf(value) === null ? value : (this.#openOne(name, value as string) ?? value);
  }

  /** Undefined for what was not sealed here for this trait. */
  #openOne(name: string, text: string): JsonValue | undefined {
    const sealed = Buffer.from(text.slice(PREFIX.length + 2), 'base64url');
    if (sealed.length <= TAG_BYTES) return undefined;
    const tag = sealed.subarray(0, TAG_BYTES);
    const decipher = createDecipheriv(ALGORITHM, this.#derived().text, tag);
    const plain = Buffer.concat([decipher.update(sealed.subarray(TAG_BYTES)), decipher.final()]);
    return timingSafeEqual(tag, this.#tagOf(name, plain)) ? (JSON.parse(plain.toString()) as JsonValue) : undefined;
  }

  #tagOf(name: string, text: Buffer): Buffer {
    return createHmac('sha256', this.#derived().tag)
      .update(JSON.stringify(name))
      .update(text)
      .digest()
      .subarray(0, TAG_BYTES);
  }

  #derived() {
    return (this.#keys ??= {
      tag: this.#secret.derive('sealed-traits:tag'),
      text: this.#secret.derive('sealed-traits:text'),
      index: this.#secret.derive('sealed-traits:index'),
    });
  }
}

/** What is shown of a sealed value to those who may not see it: that there is one, and its type. */
export function maskSealed(type: SealedType): JsonValue {
  switch (type) {
    case 'string':
      return '***';
    case 'list':
      return ['***'];
    case 'object':
      return {};
    default:
      return null;
  }
}

/** The same of a value as it was sent; null: none was. */
export function maskAsSealed(value: JsonValue): JsonValue {
  if (value === null) return null;
  if (Array.isArray(value)) return value.map(maskAsSealed);
  const type = sealedTypeOf(value) ?? SEALED_TYPES.get(letterOf(value));
  return type === undefined ? null : maskSealed(type);
}

function letterOf(value: JsonValue): Letter {
  if (Array.isArray(value)) return 'l';
  return typeof value === 'object' ? 'o' : typeof value === 'number' ? 'n' : typeof value === 'boolean' ? 'b' : 's';
}

/** Blanks behind JSON say nothing. */
function padded(json: string): Buffer {
  const bytes = Buffer.byteLength(json);
  return Buffer.from(json + ' '.repeat((BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES));
}
