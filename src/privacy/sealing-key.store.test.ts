import { expect, it } from 'vitest';
import { hashId } from '../platform/ids.js';
import { RootSecret } from '../platform/installation-secret.js';
import type { Database } from '../platform/postgres.js';
import { SealingKeyStore } from './sealing-key.store.js';

it('asks to try again where a key is neither made nor found, as when it is destroyed in between', async () => {
  // The insert meets the key of another process, and by the second look that one is gone.
  const keys = { run: () => Promise.resolve({ rows: [], rowCount: 0 }) } as unknown as Database;
  const store = new SealingKeyStore(keys, new RootSecret(Buffer.from('a secret of more than sixteen bytes')));
  await expect(store.provide([hashId('user_id', 'ann')])).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    retryAfterMs: 0,
  });
});
