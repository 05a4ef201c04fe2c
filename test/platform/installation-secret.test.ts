import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkSecret, RootSecret } from '../../src/platform/installation-secret.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let test: TestDatabase;

beforeEach(async () => {
  test = await createTestDatabase();
});

afterEach(async () => {
  await test.drop();
});

it('a process with another secret than the first one is told, others are not', async () => {
  const ours = new RootSecret(Buffer.from('ours'));
  const others = new RootSecret(Buffer.from('others'));
  await checkSecret(test.database, ours);
  await checkSecret(test.database, new RootSecret(Buffer.from('ours')));
  await expect(checkSecret(test.database, others)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  await test.database.execute('UPDATE installation SET secret_check = NULL');
  await checkSecret(test.database, others);
  await expect(checkSecret(test.database, ours)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});
