import type { Database, TransactionOptions } from '../../src/platform/postgres.js';

/** The database, with something done each time that something was read at length, which is written in a transaction of its own. */
export function afterLongReads(db: Database, run: () => Promise<void>): Database {
  const transaction: Database['transaction'] = async (work, options?: TransactionOptions) => {
    const result = await db.transaction(work, options);
    // Others that only read are short.
    if (options?.readOnly === true && options.timeoutMs !== undefined) await run();
    return result;
  };
  return new Proxy(db, {
    get: (target, name) => {
      if (name === 'transaction') return transaction;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
