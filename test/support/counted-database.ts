import type { Database, Transaction, TransactionOptions } from '../../src/platform/postgres.js';

/** What transactions did since the counts were taken last. */
export interface DatabaseCounts {
  statements: number;
  rowsRead: number;
}

/** The database, with what its transactions do counted. */
export function countedDatabase(db: Database, counts: DatabaseCounts): Database {
  const transaction = <T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> =>
    db.transaction((tx) => work(countedTransaction(tx, counts)), options);
  return new Proxy(db, {
    get: (target, name) => (name === 'transaction' ? transaction : boundTo(target, name)),
  });
}

function countedTransaction(tx: Transaction, counts: DatabaseCounts): Transaction {
  const run: Transaction['run'] = async (statement) => {
    const result = await tx.run(statement);
    counts.statements++;
    counts.rowsRead += result.rows.length;
    return result as never;
  };
  return new Proxy(tx, { get: (target, name) => (name === 'run' ? run : boundTo(target, name)) });
}

function boundTo(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}
