import { SUSPECT_PAUSE_MS } from '../../src/identity/generic-value.model.js';
import type { World } from './world.js';

/** Until nothing is left to be looked at or to be done about values that many people share. */
export async function settleGenerics(world: World, engine = world.engine): Promise<void> {
  for (let i = 0; i < 50; i++) {
    await engine.worker.drain();
    const [open] = await world.db.query(
      `SELECT FROM installation WHERE EXISTS (SELECT FROM identity_revisions WHERE status IN ('waiting', 'running'))
         OR EXISTS (SELECT FROM generic_suspects WHERE news > 0 AND due_at <= $1::int8 + $2)
         OR EXISTS (SELECT FROM generic_values WHERE is_stale AND look_at <= $1::int8 + $2)`,
      [world.clock.now(), SUSPECT_PAUSE_MS],
    );
    if (open === undefined) return;
    world.clock.advance(SUSPECT_PAUSE_MS);
  }
  throw new Error('it is never done');
}
