import type { JsonValue } from '../events/event.model.js';
import { corruptState, type PackedReader, type PackedWriter } from './packed-bytes.js';

/*
 * Numbers as exact integers of any size, so that adding them up is exact and order cannot show.
 *
 *   big   v limbs·2 + negative   { v limb of 48 bits, low first; the last is not 0 }
 */

/** Values beyond it are not added up, and what they are left out of is marked as approximate. */
export const MAX_ADDEND = 1e12;
export const MICROS = 1e6;
const BASE = 10n ** 12n;

const LIMB_BITS = 48n;
const LIMB = 2n ** LIMB_BITS;
/** A sum of the squares of as many values as fit a state has fewer. */
const MAX_LIMBS = 8;

/** What can be added up: a number within ±10¹². Null: it is none. Undefined: there is no value. */
export function addendOf(value: JsonValue | undefined): number | null | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'number' && Math.abs(value) <= MAX_ADDEND ? value : null;
}

/** Micro-units of an addend. */
export function microsOf(value: number): bigint {
  const high = Math.trunc(value / MICROS);
  // Exact: the product is an integer near the value, so that the difference of the two has no rounding.
  return BigInt(high) * BASE + BigInt(Math.round((value - high * MICROS) * MICROS));
}

/**
 * `micros / divisor` as the nearest number; beyond 2⁵³, one next to it at most. To round large micro-units first and their
 * quotient then would make 2⁴⁰ − 1 something that is no integer.
 * @param divisor a positive integer up to 2⁵³
 */
export function quotientOf(micros: bigint, divisor: number): number {
  const rounded = Number(micros);
  if (Number.isSafeInteger(rounded)) return rounded / divisor;
  const by = BigInt(divisor);
  return Number(micros / by) + Number(micros % by) / divisor;
}

export function writeBig(writer: PackedWriter, value: bigint): void {
  let rest = value < 0n ? -value : value;
  const limbs: number[] = [];
  for (; rest > 0n; rest /= LIMB) limbs.push(Number(rest % LIMB));
  writer.varint(limbs.length * 2 + (value < 0n ? 1 : 0));
  for (const limb of limbs) writer.varint(limb);
}

export function readBig(reader: PackedReader): bigint {
  const head = reader.varint();
  const count = Math.floor(head / 2);
  if (count > MAX_LIMBS) throw corruptState('a sum is too large', reader.at);
  let value = 0n;
  for (let i = 0; i < count; i++) value += BigInt(reader.varint()) << (BigInt(i) * LIMB_BITS);
  return head % 2 === 1 ? -value : value;
}
