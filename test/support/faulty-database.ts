import { WeftError } from '../../src/platform/errors.js';
import type { Database, Transaction, TransactionOptions } from '../../src/platform/postgres.js';

/** Decides what goes wrong next; plain fields, set by the test. */
export interface Faults {
  /** Fails the statement with this number of each transaction, 1 the first, until it did so once; null: none. */
  failAtStatement: number | null;
  /** Commits, and then says that the connection broke, once. */
  loseNextCommit: boolean;
  /** Statements of the longest transaction so far. */
  maxStatements: number;
}

export const noFaults = (): Faults => ({ failAtStatement: null, loseNextCommit: false, maxStatements: 0 });

/** The database, with transactions that fail as told. */
export function faultyDatabase(db: Database, faults: Faults): Database {
  const transaction = async <T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> => {
    const result = await db.transaction((tx) => work(faultyTransaction(tx, faults)), options);
    if (faults.loseNextCommit) {
      faults.loseNextCommit = false;
      throw broken();
    }
    return result;
  };
  return new Proxy(db, {
    get: (target, name) => (name === 'transaction' ? transaction : boundTo(target, name)),
  });
}

function faultyTransaction(tx: Transaction, faults: Faults): Transaction {
  let statements = 0;
  return new Proxy(tx, {
    get: (target, name) => {
      const method = boundTo(target, name);
      if (typeof method !== 'function' || name === 'close') return method;
      return (...args: unknown[]): unknown => {
        statements++;
        faults.maxStatements = Math.max(faults.maxStatements, statements);
        if (statements !== faults.failAtStatement) return (method as (...all: unknown[]) => unknown)(...args);
        faults.failAtStatement = null;
        return Promise.reject(broken());
      };
    },
  });
}

function broken(): WeftError {
  return new WeftError('UNAVAILABLE', 'the connection to the database broke, says the test', { retryAfterMs: 0 });
}

function boundTo(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}
