import type pg from 'pg';
import { toSqlError } from './sql-errors.js';

/**
 * A connection of one's own, for what PostgreSQL keeps as long as a session lasts, such as advisory locks. Whether it
 * ends by `close` or is lost, everything that it held is free again.
 */
export class Session {
  readonly #client: pg.PoolClient;
  #isOver = false;

  /** @param onLost called once if the connection ends otherwise than by `close` */
  constructor(client: pg.PoolClient, onLost: () => void) {
    this.#client = client;
    const lost = (): void => {
      if (this.#isOver) return;
      this.close();
      onLost();
    };
    // Both: a server that goes in order says so with an error and then ends; a broken connection may only end.
    client.on('error', lost);
    client.on('end', lost);
  }

  async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    try {
      return (await this.#client.query(text, values as unknown[])).rows as Row[];
    } catch (error) {
      throw toSqlError(error);
    }
  }

  /** Ends the connection; it does not go back to the pool, where what it holds would go on being held. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client.release(true);
  }
}
