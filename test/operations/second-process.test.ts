import { afterEach, beforeEach, expect, it } from 'vitest';
import { startApp, type App, type AppOptions } from '../../src/app.js';
import { readConfig } from '../../src/config.js';
import { createLogger } from '../../src/platform/logger.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let test: TestDatabase;
const running: App[] = [];

beforeEach(async () => {
  test = await createTestDatabase();
});

afterEach(async () => {
  for (const app of running.splice(0)) await app.stop();
  await test.drop();
});

async function start(port: number, worker: AppOptions['worker'] = 'yes'): Promise<App> {
  const config = readConfig({ WEFT_DATABASE_URL: test.url, WEFT_PORT: String(port) });
  const app = await startApp({ config, logger: createLogger({ level: 'silent' }), worker, isServing: true });
  running.push(app);
  return app;
}

it('tells a second worker on a database which process is there and where it listens', async () => {
  await start(4_801);
  await expect(start(4_802)).rejects.toMatchObject({
    code: 'CONFLICT',
    message: expect.stringContaining(`process ${String(process.pid)} at http://127.0.0.1:4801 on `) as string,
    where: 'WEFT_DATABASE_URL',
  });
});

it('lets go of everything when it may not start', async () => {
  await start(4_801);
  await expect(start(4_802)).rejects.toThrow();
  const own = async (): Promise<unknown[]> =>
    test.database.query(
      `SELECT FROM pg_stat_activity WHERE application_name LIKE 'weft process % at http://127.0.0.1:4802%'`,
    );
  await expect.poll(own).toEqual([]);
  expect((await start(4_803, 'try')).isWorking).toBe(false);
});
