import type { Database, Transaction, TransactionOptions } from '../../src/platform/postgres.js';

/** A place at which a process stands still: from when it is closed, whoever comes there waits until it is opened. */
export interface Gate {
  close(): void;
  open(): void;
  /** Resolves once somebody waits there. */
  readonly reached: Promise<void>;
}

/** The database, with a gate before statements that match. */
export function gatedDatabase(db: Database, statement: RegExp): { readonly db: Database; readonly gate: Gate } {
  let isClosed = false;
  const [reached, reach] = signal();
  const [opened, open] = signal();
  const pass = async (args: readonly unknown[]): Promise<void> => {
    const [first] = args;
    const text = typeof first === 'string' ? first : ((first as { text?: string } | undefined)?.text ?? '');
    if (!isClosed || !statement.test(text)) return;
    reach();
    await opened;
  };
  const heard = <T extends object>(target: T, own: Readonly<Record<string, unknown>> = {}): T =>
    new Proxy(target, {
      get: (of, name) => {
        if (typeof name === 'string' && name in own) return own[name];
        const value: unknown = Reflect.get(of, name, of);
        if (typeof value !== 'function') return value;
        const method = value.bind(of) as (...args: unknown[]) => unknown;
        if (name !== 'query' && name !== 'run' && name !== 'execute') return method;
        return async (...args: unknown[]): Promise<unknown> => {
          await pass(args);
          return method(...args);
        };
      },
    });
  const transaction = <T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> =>
    db.transaction((tx) => work(heard(tx)), options);
  return {
    db: heard(db, { transaction }),
    gate: {
      reached,
      close: () => {
        isClosed = true;
      },
      open: () => {
        isClosed = false;
        open();
      },
    },
  };
}

function signal(): [Promise<void>, () => void] {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return [promise, resolve];
}
