import { createSecretKey } from 'node:crypto';
import { isSealed, type AnchoredPayload } from '../../src/events/event-seal.model.js';
import type { InstallationSecret } from '../../src/platform/installation-secret.js';
import type { Queryable } from '../../src/platform/postgres.js';
import { handlesIn, headerIn, jointKey, type DataKey } from '../../src/privacy/joint-key.js';
import { openBytes } from '../../src/privacy/sealed-bytes.js';

/** Guesses at a missing key of one copy, at most. */
const MAX_GUESSES = 40;

/**
 * What of some copies of sealed rows can be read by whoever has the secret and all keys that are left, each at most once, in
 * order; what was never sealed as it is. It takes nobody's word for what opens what: beside the keys that a copy asks for it
 * tries each key by itself, those that are left of the ones asked for, and others in place of one that is missing.
 */
export async function openCopies(
  keys: Queryable,
  secret: InstallationSecret,
  copies: readonly AnchoredPayload[],
): Promise<string[]> {
  const wrappingKey = createSecretKey(secret.derive('data-keys'));
  const rows = await keys.query<{ name: string; handle: Buffer; wrapped: Buffer }>(
    'SELECT name, handle, wrapped FROM sealing_keys ORDER BY name',
  );
  const left = rows.map(({ name, handle, wrapped }): DataKey => {
    const bytes = openBytes(wrappingKey, 1, wrapped, Buffer.from(name));
    if (bytes === null) throw new Error('a key that the secret does not open');
    return { handle, bytes };
  });
  if (left.length === 0) throw new Error('without any key nothing is shown by what cannot be read');
  const byHandle = new Map(left.map((key) => [key.handle.toString('latin1'), key]));
  return copies.flatMap(({ payload }) => {
    if (!isSealed(payload)) return [payload.toString()];
    const header = headerIn(payload);
    const tried = left.flatMap(({ bytes }) => {
      const key = createSecretKey(bytes);
      return [openBytes(key, 1, payload), header === null ? null : openBytes(key, header.length, payload)];
    });
    if (header !== null) {
      const parts = handlesIn(header).map((handle) => byHandle.get(handle));
      const known = parts.filter((part) => part !== undefined);
      const filled = left.slice(0, MAX_GUESSES).map((guess) => parts.map((part) => part ?? guess));
      for (const each of [known, ...filled]) tried.push(openBytes(jointKey(header, each), header.length, payload));
    }
    const plain = tried.find((each) => each !== null);
    return plain == null ? [] : [plain.toString()];
  });
}
