import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { createDataSource, Database, type DataSourceOptions } from '../../src/platform/postgres.js';

export interface TestDatabase {
  readonly url: string;
  readonly database: Database;
  /** Another, independent pool on the same database: another process, as far as PostgreSQL can tell. */
  connect(options?: DataSourceOptions): Promise<Database>;
  /** Closes every pool made here and drops the database. */
  drop(): Promise<void>;
}

export interface TestDatabaseOptions extends DataSourceOptions {
  /** True: no table yet. Default: every migration has run. */
  readonly empty?: boolean;
}

/** A database of one's own, with the current schema: a clone of the run's template, in some 40 ms. */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { empty = false, ...dataSourceOptions } = options;
  const name = `weft_test_${randomBytes(6).toString('hex')}`;
  const template = empty ? 'template0' : inject('templateDatabase');
  await onServer(`CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY ${inject('cloneStrategy')}`);
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  const opened: Database[] = [];
  const connect = async (more: DataSourceOptions = {}): Promise<Database> => {
    const database = await Database.open(
      await createDataSource(url.href, { poolSize: 5, ...dataSourceOptions, ...more }),
    );
    opened.push(database);
    return database;
  };
  return {
    url: url.href,
    database: await connect(),
    connect,
    drop: async () => {
      await Promise.all(opened.map((database) => database.close()));
      await onServer(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}

async function onServer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject('postgresUrl') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
