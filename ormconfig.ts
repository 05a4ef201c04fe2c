import { readConfig } from './src/config.js';
import { WeftError } from './src/platform/errors.js';
import { createDataSource } from './src/platform/postgres.js';

const { databaseUrl } = readConfig();
if (databaseUrl === null) {
  throw new WeftError('CONFIG_INVALID', 'no database to migrate', {
    where: 'WEFT_DATABASE_URL',
    hint: 'Set it to postgres://user:password@host:5432/database.',
  });
}

/** The DataSource that the TypeORM command line works on: `npm run typeorm -- migration:show`. */
export const dataSource = await createDataSource(databaseUrl);
