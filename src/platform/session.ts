import type { PoolClient, QueryResult } from 'pg';
import { WeftError } from './errors.js';
import { toSqlError } from './sql-errors.js';
import { within } from './within.js';

const ANSWER_TIMEOUT_MS = 5_000;

/**
 * A connection of one's own, for what PostgreSQL keeps as long as a session lasts, such as advisory locks. Whether it
 * is closed or lost, everything that it held is free again.
 */
export class Session {
  readonly #client: PoolClient;
  #isOver = false;

  /** @param onLost called once if the connection ends by itself */
  constructor(client: PoolClient, onLost: () => void) {
    this.#client = client;
    const lost = (): void => {
      if (this.#isOver) return;
      this.abandon();
      onLost();
    };
    // Both: a server that goes in order says so with an error and then ends; a broken connection may only end.
    client.on('error', lost);
    client.on('end', lost);
  }

  async query<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    try {
      return (await this.#answer(text, values)).rows as Row[];
    } catch (error) {
      throw toSqlError(error);
    }
  }

  /**
   * Gives back what it holds and ends the connection, which does not go back to the pool. Both, because the server may
   * take a moment to notice an end, and somebody else may be waiting.
   */
  async close(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#answer('SELECT pg_advisory_unlock_all()', []).catch(() => undefined);
    this.#client.release(true);
  }

  /** Ends the connection without a word to the server, which may not answer. */
  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client.release(true);
  }

  /** A session that is held for days has to find out soon that nobody answers. */
  #answer(text: string, values: readonly unknown[]): Promise<QueryResult> {
    const late = (): Error => new WeftError('UNAVAILABLE', 'the database does not answer', { retryAfterMs: 1_000 });
    return within(ANSWER_TIMEOUT_MS, this.#client.query(text, [...values]), late);
  }
}
