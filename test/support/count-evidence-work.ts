import type { Database, PreparedStatement, Transaction, TransactionOptions } from '../../src/platform/postgres.js';

/** What one transaction reads and writes of evidence. */
export interface EvidenceWork {
  statements: number;
  /** That it is answered. */
  rows: number;
  /** Of the arrays that it sends. */
  bytes: number;
}

const isOfEvidence = (text: string): boolean => /\b(evidence|anchor_evidence)\b/.test(text);
/** What notes that events are moved, with everybody standing still. */
const isMove = (text: string): boolean => text.includes('SET moves = moves + 1');

/** The database, with a note of the work of each transaction in which events are moved to other anchors. */
export function countingEvidenceWork(db: Database, moves: EvidenceWork[]): Database {
  const transaction: Database['transaction'] = (work, options?: TransactionOptions) =>
    db.transaction((tx) => {
      const done: EvidenceWork = { statements: 0, rows: 0, bytes: 0 };
      return work(counting(tx, done, () => moves.push(done)));
    }, options);
  return proxyOf(db, { transaction });
}

function counting(tx: Transaction, done: EvidenceWork, onMove: () => void): Transaction {
  const count = (text: string, values: readonly unknown[] = [], rows: number): void => {
    if (isMove(text)) onMove();
    if (!isOfEvidence(text)) return;
    done.statements++;
    done.rows += rows;
    for (const value of values) if (Buffer.isBuffer(value)) done.bytes += value.length;
  };
  return proxyOf(tx, {
    query: async <Row>(text: string, values?: readonly unknown[]) => {
      const rows = await tx.query<Row>(text, values);
      count(text, values, rows.length);
      return rows;
    },
    run: async <Row>(statement: PreparedStatement) => {
      const result = await tx.run<Row>(statement);
      count(statement.text, statement.values, result.rows.length);
      return result;
    },
  });
}

function proxyOf<T extends object>(target: T, instead: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(target, {
    get: (of, name) => {
      if (name in instead) return instead[name as keyof T];
      const value: unknown = Reflect.get(of, name, of);
      return typeof value === 'function' ? (value.bind(of) as unknown) : value;
    },
  });
}
