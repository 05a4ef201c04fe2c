import { writeSync } from 'node:fs';
import type { Database, Transaction, TransactionOptions } from '../../src/platform/postgres.js';

/** Where a process is killed: with all of a step written and not committed yet, or with the commit confirmed. */
export type KillPlace = 'before' | 'after';

const STANDARD_OUTPUT = 1;
const IS_STEP_OF_REVISION = /(?:UPDATE|INSERT INTO) (?:identity_revisions|generic_values)\b/;

/**
 * The database of a process that is killed at the first step of its work, which is a transaction that writes certain
 * tables; of a revision, where it notes how far that or a value is. Prints the place and what was written, as
 * `before identity_revisions`.
 * @param isStep matches up to the name of the table
 */
export function killedDatabase(db: Database, place: KillPlace, isStep: RegExp = IS_STEP_OF_REVISION): Database {
  const transaction = async <T>(work: (tx: Transaction) => Promise<T>, options?: TransactionOptions): Promise<T> => {
    const noted = new Set<string>();
    const result = await db.transaction(async (tx) => {
      const done = await work(heard(tx, noted, isStep));
      if (noted.size > 0 && place === 'before') killAt(place, noted);
      return done;
    }, options);
    if (noted.size > 0) killAt(place, noted);
    return result;
  };
  return new Proxy(db, {
    get: (target, name) => (name === 'transaction' ? transaction : boundTo(target, name)),
  });
}

function killAt(place: KillPlace, noted: ReadonlySet<string>): void {
  writeSync(STANDARD_OUTPUT, `${place} ${[...noted].sort().join(' ')}\n`);
  process.kill(process.pid, 'SIGKILL');
  // Nothing more is sent, however long that takes.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function heard(tx: Transaction, noted: Set<string>, isStep: RegExp): Transaction {
  return new Proxy(tx, {
    get: (target, name) => {
      const method = boundTo(target, name);
      if (typeof method !== 'function' || name === 'close') return method;
      return (...args: unknown[]): unknown => {
        const [first] = args;
        const text = typeof first === 'string' ? first : ((first as { text?: string } | undefined)?.text ?? '');
        const [step] = isStep.exec(text) ?? [];
        if (step !== undefined) noted.add(step.slice(step.lastIndexOf(' ') + 1));
        return (method as (...all: unknown[]) => unknown)(...args);
      };
    },
  });
}

function boundTo(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}
