import { createHash } from 'node:crypto';
import type { JsonValue } from '../events/event.model.js';
import { instantOf } from './trait-type.model.js';

/*
 * Values as the index of searchable traits keeps them: as bytes whose order is that of the values.
 *
 *     byte 0    then
 *     0x10      nothing: false
 *     0x11      nothing: true
 *     0x20      a number: IEEE 754 double, big-endian; the sign bit flipped, of a negative one all bits
 *     0x30      an instant, ms: as a number
 *     0x40      a text: folded, UTF-8; of more than 200 bytes the first 200 and 16 of their SHA-256
 *     0x70      an item of a list: the item's own key
 *     0x78      nothing: there is a value that cannot be compared, such as an object
 *
 * So values of different types are apart, and what begins with a text is one stretch.
 */

const FALSE = 0x10;
const TRUE = 0x11;
const NUMBER = 0x20;
const INSTANT = 0x30;
const TEXT = 0x40;
const LIST_ITEM = 0x70;
const THERE = 0x78;

const MAX_TEXT_BYTES = 200;
const HASH_BYTES = 16;
/** Items of one list that are in the index: the first. */
export const MAX_SEARCHED_ITEMS = 100;
/** A stretch of keys, without its end. */
export interface KeyRange {
  readonly from: Buffer;
  readonly to: Buffer;
}

/** Where the keys lie by which profiles can be put in order: all but those of lists and objects. */
export const ORDERED_KEYS: KeyRange = { from: Buffer.from([0]), to: Buffer.from([LIST_ITEM]) };
/** Every key. */
export const ALL_KEYS: KeyRange = { from: Buffer.from([0]), to: Buffer.from([0xff]) };

/**
 * A text as it is compared: without regard to case and to the several ways in which Unicode writes the same (NFKC).
 * Upper-casing first makes one of what is two letters in one case only, such as ß and ss.
 */
export function foldText(text: string): string {
  return text.normalize('NFKC').toUpperCase().toLowerCase().replaceAll('ς', 'σ').normalize('NFKC');
}

/** The keys of a trait's value: none of null, one of each item of a list. */
export function searchKeys(value: JsonValue | undefined): Buffer[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) return [scalarKey(value) ?? Buffer.from([THERE])];
  const keys = value.slice(0, MAX_SEARCHED_ITEMS).flatMap((item) => {
    const key = scalarKey(item);
    return key === null ? [] : [listItemKey(key)];
  });
  return keys.length === 0 ? [Buffer.from([THERE])] : keys;
}

/** Null for what has no order: null, lists, objects. */
export function scalarKey(value: JsonValue): Buffer | null {
  switch (typeof value) {
    case 'boolean':
      return Buffer.from([value ? TRUE : FALSE]);
    case 'number':
      return numberKey(NUMBER, value);
    case 'string': {
      const instant = instantOf(value);
      return instant === null ? textKey(value) : instantKey(instant);
    }
    default:
      return null;
  }
}

export function listItemKey(item: Buffer): Buffer {
  return Buffer.concat([Buffer.from([LIST_ITEM]), item]);
}

/** @param ms since 1970 */
export function instantKey(ms: number): Buffer {
  return numberKey(INSTANT, ms);
}

/** The counterpart of {@link instantKey}; null for another key. */
export function instantOfKey(key: Buffer): number | null {
  if (key.length !== 9 || key[0] !== INSTANT) return null;
  const bits = key.readBigUInt64BE(1);
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(bits & SIGN_BIT ? bits ^ SIGN_BIT : bits ^ ALL_BITS);
  return bytes.readDoubleBE(0);
}

/** The texts that begin with this one; null if it is longer than what is kept of a text. */
export function prefixRange(text: string): KeyRange | null {
  const utf8 = Buffer.from(foldText(text));
  if (utf8.length > MAX_TEXT_BYTES) return null;
  const from = Buffer.concat([Buffer.from([TEXT]), utf8]);
  return { from, to: after(from) };
}

/** The key alone. */
export function keyRange(key: Buffer): KeyRange {
  return { from: key, to: Buffer.concat([key, Buffer.from([0])]) };
}

/** All keys of the type that this one is of, which is not that of an item of a list. */
export function typeRange(key: Buffer): KeyRange {
  const tag = key[0] ?? 0;
  const first = tag === TRUE ? FALSE : tag;
  return { from: Buffer.from([first]), to: Buffer.from([(tag === FALSE ? TRUE : tag) + 1]) };
}

/** The least key behind all that begin with this one, whose last byte is not the greatest. */
function after(prefix: Buffer): Buffer {
  const next = Buffer.from(prefix);
  // No byte of UTF-8 is the greatest.
  next[next.length - 1] = (next.at(-1) ?? 0) + 1;
  return next;
}

const SIGN_BIT = 1n << 63n;
const ALL_BITS = (1n << 64n) - 1n;

function numberKey(tag: number, value: number): Buffer {
  const key = Buffer.alloc(9);
  // Adding 0 makes one of the two zeros.
  key.writeDoubleBE(value + 0, 1);
  const bits = key.readBigUInt64BE(1);
  key.writeBigUInt64BE(bits & SIGN_BIT ? bits ^ ALL_BITS : bits ^ SIGN_BIT, 1);
  key[0] = tag;
  return key;
}

function textKey(text: string): Buffer {
  const utf8 = Buffer.from(foldText(text));
  if (utf8.length <= MAX_TEXT_BYTES) return Buffer.concat([Buffer.from([TEXT]), utf8]);
  const hash = createHash('sha256').update(utf8).digest().subarray(0, HASH_BYTES);
  return Buffer.concat([Buffer.from([TEXT]), utf8.subarray(0, MAX_TEXT_BYTES), hash]);
}
