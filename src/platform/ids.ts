import { hash, randomUUID } from 'node:crypto';

/** A UUID in its 36-character text form. */
export type Uuid = string;

/** Before and after every id there is, for pages by id. */
export const LEAST_ID: Uuid = '00000000-0000-0000-0000-000000000000';
export const GREATEST_ID: Uuid = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a text is a UUID of any version, in either case. What is none cannot be asked of the database as one. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}

function formatUuid(hex: string): Uuid {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

/** @param bytes 16 of them */
export function uuidOf(bytes: Buffer): Uuid {
  return formatUuid(bytes.toString('hex'));
}

/**
 * A UUID that is a function of its parts: the first 128 bits of SHA-256 over the parts joined by NUL.
 * Equal parts give equal ids on every machine, so rows can be written without first asking for their ids.
 */
export function hashId(...parts: readonly string[]): Uuid {
  return formatUuid(hash('sha256', parts.join('\0'), 'hex'));
}

/** A new UUID of version 7 (RFC 9562 §5.7): sorts by creation time, then at random. */
export function newId(nowMs: number): Uuid {
  const time = nowMs.toString(16).padStart(12, '0');
  // Version 4 has its random bits and its variant in the same places, and Node keeps entropy for it at hand.
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

/** Partition of an id: its leading 32 bits modulo `count`. Ids made by {@link hashId} spread evenly. */
export function partitionOf(id: Uuid, count: number): number {
  return Number.parseInt(id.slice(0, 8), 16) % count;
}
