import type { Uuid } from '../platform/ids.js';
import { isSealed, type EventSealer } from './event-seal.model.js';

/** A letter's input as it is stored: byte 0 is the format of what follows, 0 = UTF-8 text. */
export interface StoredInput {
  /** Null: it was never sealed. */
  readonly sealId: Uuid | null;
  readonly payload: Buffer;
}

const FORMAT_PLAIN = 0;

/** The input of each letter, in order, as text in UTF-8; null where its key was destroyed, or does not open it. */
export async function openInputs(
  sealer: EventSealer,
  letters: readonly StoredInput[],
): Promise<readonly (Buffer | null)[]> {
  const sealed = letters.flatMap(({ sealId, payload }, index) =>
    sealId === null ? [] : [{ anchor_id: sealId, payload, index }],
  );
  const opened = new Map<number, Buffer>();
  if (sealed.length > 0) for (const { index, payload } of await sealer.open(sealed)) opened.set(index, payload);
  return letters.map(({ sealId, payload }, index) => {
    const plain = sealId === null ? payload : opened.get(index);
    return plain === undefined || isSealed(plain) ? null : plain.subarray(1);
  });
}

/** The input of a letter as it is stored where nothing is sealed. */
export function plainInput(text: string, maxBytes: number): Buffer {
  // The text is cut first, so that a huge one is never encoded whole.
  const body = Buffer.from(text.slice(0, maxBytes));
  const bytes = Buffer.allocUnsafe(1 + Math.min(body.length, maxBytes));
  bytes[0] = FORMAT_PLAIN;
  body.copy(bytes, 1);
  return bytes;
}
