import { WeftError } from '../platform/errors.js';
import type { Database, Transaction, TransactionOptions } from '../platform/postgres.js';
import { readErasureMark } from './erasure-mark.reader.js';

/** Times that the same is read, at most. */
const MAX_READS = 5;

/**
 * Reads histories in one snapshot, and once more where that turns out to be too old: events of others that named somebody
 * who was erased meanwhile are rewritten by then, and as they were nobody can open them any more.
 * @param read to tell `onUnreadable` of rows that could not be opened; all that it does has to be in what it returns
 * @throws WeftError UNAVAILABLE where people were erased each time
 */
export async function readBesideErasures<T>(
  db: Database,
  read: (tx: Transaction, onUnreadable: () => void) => Promise<T>,
  options: Pick<TransactionOptions, 'timeoutMs'>,
): Promise<T> {
  for (let reads = 1; ; reads++) {
    const { result, erasures, isWhole } = await db.transaction(
      async (tx) => {
        const mark = await readErasureMark(tx);
        let unreadable = 0;
        const found = await read(tx, () => unreadable++);
        return { result: found, erasures: mark, isWhole: unreadable === 0 };
      },
      { ...options, isolation: 'REPEATABLE READ', readOnly: true },
    );
    if (isWhole || (await readErasureMark(db)) === erasures) return result;
    if (reads < MAX_READS) continue;
    throw new WeftError('UNAVAILABLE', 'people were erased each time while events were read', {
      where: 'event_log',
      hint: 'ask again when fewer people are erased: weft privacy receipts shows them',
    });
  }
}
