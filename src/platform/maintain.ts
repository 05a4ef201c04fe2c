import { DataSource } from 'typeorm';
import { toSqlError } from './sql-errors.js';

type PostgresOptions = Omit<Extract<DataSource['options'], { type: 'postgres' }>, 'extra'> & {
  readonly extra?: object;
};

/**
 * Runs statements that may take as long as they do and stand in no transaction, such as VACUUM, one after the other, on a
 * connection of their own.
 * @throws SqlError
 */
export async function maintain(
  { dataSource }: { dataSource: DataSource },
  statements: readonly string[],
): Promise<void> {
  const options = dataSource.options as PostgresOptions;
  const extra = { ...options.extra, statement_timeout: 0, idle_in_transaction_session_timeout: 0, query_timeout: 0 };
  const patient = new DataSource({ ...options, entities: [], migrations: [], poolSize: 1, extra });
  try {
    await patient.initialize();
    for (const statement of statements) await patient.query(statement);
  } catch (error) {
    throw toSqlError(error);
  } finally {
    if (patient.isInitialized) await patient.destroy();
  }
}
