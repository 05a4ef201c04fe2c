import type { DataSource, EntityManager, EntityTarget, ObjectLiteral, Repository } from 'typeorm';
import { toSqlError } from './sql-errors.js';

/** What stores use of TypeORM, with failures of the database as everywhere else: as `SqlError`s. */
export interface TranslatedRepository<Entity extends ObjectLiteral> {
  /** Runs something on the repository. */
  run<T>(work: (rows: Repository<Entity>) => Promise<T>): Promise<T>;
  /** Runs something in a transaction of its own. */
  transaction<T>(work: (manager: EntityManager) => Promise<T>): Promise<T>;
}

/** The one way from a DataSource to a repository: what TypeORM throws is no deliberate failure and would be a defect. */
export function translatedRepository<Entity extends ObjectLiteral>(
  dataSource: DataSource,
  entity: EntityTarget<Entity>,
): TranslatedRepository<Entity> {
  const rows = dataSource.getRepository(entity);
  return {
    run: (work) => translated(() => work(rows)),
    transaction: (work) => translated(() => rows.manager.transaction(work)),
  };
}

async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toSqlError(error);
  }
}
