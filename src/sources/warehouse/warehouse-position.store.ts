import { WeftError } from '../../platform/errors.js';
import type { Queryable } from '../../platform/postgres.js';

/** Which rows go where. */
export interface PositionKey {
  /** Key of the source. */
  readonly source: string;
  readonly queryHash: string;
}

/** How far the rows of queries are loaded: rows of `warehouse_positions`. */
export class WarehousePositionStore {
  constructor(private readonly db: Queryable) {}

  /** Null: nothing is loaded. */
  async find({ source, queryHash }: PositionKey): Promise<string | null> {
    const [row] = await this.db.query<{ position: string }>(
      'SELECT position FROM warehouse_positions WHERE source = $1 AND query_hash = $2',
      [source, queryHash],
    );
    return row?.position ?? null;
  }

  async remove({ source, queryHash }: PositionKey): Promise<void> {
    await this.db.execute('DELETE FROM warehouse_positions WHERE source = $1 AND query_hash = $2', [source, queryHash]);
  }

  /**
   * @param from where it was; null: nowhere
   * @param at ms
   * @throws WeftError CONFLICT where it is there no more, as when the same load runs twice
   */
  async move({ source, queryHash }: PositionKey, from: string | null, to: string, at: number): Promise<void> {
    const moved =
      from === null
        ? await this.db.execute(
            `INSERT INTO warehouse_positions (source, query_hash, position, moved_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING`,
            [source, queryHash, to, at],
          )
        : await this.db.execute(
            `UPDATE warehouse_positions SET position = $4, moved_at = $5
              WHERE source = $1 AND query_hash = $2 AND position = $3`,
            [source, queryHash, from, to, at],
          );
    if (moved === 1) return;
    throw new WeftError('CONFLICT', 'another process loads the rows of this query, too', {
      where: source,
      hint: 'run it again once that one has ended; nothing is lost or doubled',
    });
  }
}
