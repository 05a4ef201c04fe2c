import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine.js';
import { countedDatabase, type DatabaseCounts } from '../support/counted-database.js';
import { anIdentify, createWorld, DAY_MS, START_MS, type World } from '../support/world.js';

/*
 * An address that many people share, as that of a shop's counter: it is beyond every limit, and each new visitor gives it
 * evidence. What a batch costs must not depend on how many came before.
 */

const TABLES = ['identifiers', 'profiles', 'evidence', 'assignments', 'anchor_states'] as const;

describe('an address that many share', () => {
  let world: World;
  let engine: Engine;
  const counts: DatabaseCounts = { statements: 0, rowsRead: 0 };
  let visitors = 0;

  beforeEach(async () => {
    world = await createWorld(START_MS);
    await world.engine.worker.stop();
    engine = await world.engineOn(countedDatabase(world.db, counts));
    visitors = 0;
  });

  afterEach(async () => {
    await world.close();
  });

  /**
   * `count` visitors give the address, one a second; some of them are known by an account as well, so few that the
   * address still stands for somebody.
   */
  async function visit(count: number, firstAtMs: number, on: Engine = engine): Promise<void> {
    const events = Array.from({ length: count }, (_, i) => {
      const visitor = String(visitors++);
      const account = Number(visitor) % 50 === 0 ? { user_id: `u${visitor}` } : {};
      const who = { ...account, email: 'info@shop.example', anonymous_id: `c${visitor}` };
      return anIdentify(who, {}, { timestampMs: firstAtMs + i * 1_000 });
    });
    await world.accept(events);
    await on.worker.drain();
  }

  async function rowsWrittenSince(transactionId: number): Promise<number> {
    let written = 0;
    for (const table of TABLES) {
      const [row] = await world.db.query<{ n: number }>(
        `SELECT count(*)::int4 AS n FROM ${table} WHERE xmin::text::int8 >= $1`,
        [transactionId],
      );
      written += row?.n ?? 0;
    }
    return written;
  }

  /** What the visits cost. */
  async function costOf(visits: () => Promise<void>): Promise<DatabaseCounts & { written: number }> {
    const [row] = await world.db.query<{ id: number }>('SELECT pg_current_xact_id()::text::int8 AS id');
    Object.assign(counts, { statements: 0, rowsRead: 0 });
    await visits();
    return { ...counts, written: await rowsWrittenSince(row?.id ?? 0) };
  }

  it('costs each batch what is new in it, however many came before', async () => {
    const atMs = START_MS - 30 * DAY_MS;
    await visit(140, atMs);
    const few = await costOf(() => visit(70, atMs + DAY_MS));
    await visit(2_100, atMs + 2 * DAY_MS);
    const many = await costOf(() => visit(70, atMs + 3 * DAY_MS));
    expect(many.statements).toBe(few.statements);
    expect(many.rowsRead).toBeLessThanOrEqual(few.rowsRead + 10);
    expect(many.written).toBeLessThanOrEqual(few.written + 10);
  });

  it('costs each batch what is new in it where visits are told of late', async () => {
    const atMs = START_MS - 30 * DAY_MS;
    await visit(140, atMs + 10 * DAY_MS);
    const few = await costOf(() => visit(70, atMs + 9 * DAY_MS));
    await visit(2_100, atMs + 11 * DAY_MS);
    const many = await costOf(() => visit(70, atMs));
    expect(many.statements).toBe(few.statements);
    expect(many.rowsRead).toBeLessThanOrEqual(few.rowsRead + 10);
    expect(many.written).toBeLessThanOrEqual(few.written + 30);
  });

  it('is read once where nothing is in memory, not for each event', async () => {
    const atMs = START_MS - 30 * DAY_MS;
    await visit(700, atMs);
    await engine.worker.stop();
    const fresh = await world.engineOn(countedDatabase(world.db, counts));
    const cold = await costOf(() => visit(70, atMs + DAY_MS, fresh));
    const warm = await costOf(() => visit(70, atMs + 2 * DAY_MS, fresh));
    expect(cold.rowsRead).toBeGreaterThan(1_400);
    expect(cold.rowsRead).toBeLessThan(2_500);
    expect(warm.rowsRead).toBeLessThan(200);
  });
});
