import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { buffer } from 'node:stream/consumers';
import pg from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';

/** Of a table, the rows that are of positions from $1 to $2. */
const WRITTEN = {
  identifiers: (from: string, to: string) => `first_pos BETWEEN ${from} AND ${to} ORDER BY first_pos`,
  profiles: (from: string, to: string) => `founded_pos BETWEEN ${from} AND ${to} ORDER BY founded_pos`,
  evidence: (from: string, to: string) =>
    `substr(message_id, 2)::int8 BETWEEN ${from} AND ${to} ORDER BY substr(message_id, 2)::int8`,
} as const;

type Table = keyof typeof WRITTEN;
const TABLES = Object.keys(WRITTEN) as Table[];

/**
 * The same rows as resolution wrote, into tables with the same indexes, by COPY and nothing else: what the database takes at
 * least. To be made once, so that its tables grow as the others do.
 */
export class IdentityCopier {
  private constructor(private readonly client: pg.Client) {}

  static async open(url: string): Promise<IdentityCopier> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('CREATE SCHEMA bare');
    for (const table of TABLES) await client.query(`CREATE TABLE bare.${table} (LIKE ${table} INCLUDING ALL)`);
    return new IdentityCopier(client);
  }

  /**
   * What events of these positions wrote, all of people never seen before.
   * @returns for each transaction the lines of each table
   */
  async linesOf(fromPos: number, toPos: number, transactions: number): Promise<ReadonlyMap<Table, string>[]> {
    const parts = Array.from({ length: transactions }, () => new Map<Table, string>());
    for (const table of TABLES) {
      const where = WRITTEN[table](String(fromPos), String(toPos));
      const text = await buffer(this.client.query(copyTo(`COPY (SELECT * FROM ${table} WHERE ${where}) TO STDOUT`)));
      const lines = text.toString().split(/(?<=\n)/);
      for (const [i, part] of parts.entries()) {
        const [start, end] = [i, i + 1].map((n) => Math.round((n * lines.length) / transactions));
        part.set(table, lines.slice(start, end).join(''));
      }
    }
    return parts;
  }

  /** @returns the time that it took, ms */
  async copy(transactions: readonly ReadonlyMap<Table, string>[]): Promise<number> {
    const startMs = performance.now();
    for (const part of transactions) {
      await this.client.query('BEGIN');
      for (const [table, lines] of part) {
        await pipeline(Readable.from([lines]), this.client.query(copyFrom(`COPY bare.${table} FROM STDIN`)));
      }
      await this.client.query('COMMIT');
    }
    return performance.now() - startMs;
  }

  async close(): Promise<void> {
    await this.client.end();
  }
}
