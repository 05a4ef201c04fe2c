import { hashId, type Uuid } from '../../src/platform/ids.js';
import type { Queryable } from '../../src/platform/postgres.js';
import { readState, withoutEntries } from './pipeline-state.js';
import type { LogStep } from './random-log.js';
import type { World } from './world.js';

/** A step of a log, and the load that its events are of; null: sent live. */
export interface LoadedStep extends LogStep {
  readonly load: string | null;
}

export const loadIdOf = (load: string): Uuid => hashId('load', load);

/** A row in `loads`, as the loader leaves it. */
export async function aLoad(db: Queryable, load: string, sourceId = 1): Promise<Uuid> {
  const id = loadIdOf(load);
  await db.query(
    `INSERT INTO loads (id, source_id, file_hash, file_name, mapping_hash, time_shift_ms, emit, status, started_at, is_marked)
     VALUES ($1, $2, $3, $3, '', 0, false, 'done', 0, true) ON CONFLICT DO NOTHING`,
    [id, sourceId, load],
  );
  return id;
}

/** Accepts steps, moving the clock. Those of a load in `left` are left out: only time passes. */
export async function acceptLoads(
  world: World,
  steps: readonly LoadedStep[],
  left: readonly string[],
  afterStep: (index: number) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  await world.accept([], { source: 'web' });
  for (const [index, { advanceMs, historical, events, load }] of steps.entries()) {
    world.clock.advance(advanceMs);
    if (load === null) await world.accept(events, { historical });
    else if (!left.includes(load)) {
      const loadId = await aLoad(world.db, load);
      await world.engine.accept.accept({ id: 1, key: 'web' }, events, { historical, loadId });
    }
    await afterStep(index);
  }
}

/** All that is known at the clock's instant, evidence included. */
export async function knownOf(world: World) {
  const state = await readState(world.db, await world.engine.definitions.current(), world.clock.now());
  const evidence = await world.db.query(
    `SELECT anchor_id, set_id, day, occurred_at, source_id, message_id, known_at, identifier_ids FROM evidence
     ORDER BY anchor_id, set_id, day`,
  );
  const components = await world.db.query<{ names: string }>(
    `SELECT string_agg(ns || ':' || value, ' ' ORDER BY ns COLLATE "C", value COLLATE "C") AS names FROM identifiers
     GROUP BY component_id ORDER BY 1`,
  );
  return { ...withoutEntries(state), evidence, components };
}

/** What must hold whatever happened: rows that point nowhere. */
export async function strays(db: Queryable): Promise<unknown[]> {
  const asked = [
    `SELECT 'identifier without a living profile', i.id FROM identifiers i LEFT JOIN profiles p ON p.id = i.profile_id
     WHERE p.id IS NULL OR p.merged_into IS NOT NULL`,
    `SELECT 'living profile that nobody is', p.id FROM profiles p WHERE p.merged_into IS NULL
     AND NOT EXISTS (SELECT FROM identifiers i WHERE i.profile_id = p.id)`,
    `SELECT 'alias of nothing', p.id FROM profiles p LEFT JOIN profiles s ON s.id = p.merged_into
     WHERE p.merged_into IS NOT NULL AND s.id IS NULL`,
    `SELECT 'founder elsewhere', p.id FROM profiles p JOIN identifiers i ON i.id = p.founding_id
     WHERE p.merged_into IS NULL AND i.profile_id <> p.id`,
    `SELECT 'component without its member', i.id FROM identifiers i
     WHERE NOT EXISTS (SELECT FROM identifiers m WHERE m.id = i.component_id AND m.component_id = i.component_id)`,
    `SELECT 'membership of nobody', m.profile_id FROM memberships m LEFT JOIN profiles p ON p.id = m.profile_id
     WHERE p.id IS NULL OR p.merged_into IS NOT NULL`,
    `SELECT 'timer of nobody', t.profile_id FROM timers t LEFT JOIN profiles p ON p.id = t.profile_id WHERE p.id IS NULL`,
    `SELECT 'state of nobody', s.anchor_id FROM anchor_states s LEFT JOIN identifiers i ON i.id = s.anchor_id
     WHERE i.id IS NULL`,
    `SELECT 'removed word of nobody', w.anchor_id FROM removed_words w LEFT JOIN identifiers i ON i.id = w.anchor_id
     WHERE i.id IS NULL`,
    `SELECT 'assignment of nobody', a.identifier_id FROM assignments a LEFT JOIN identifiers i ON i.id = a.identifier_id
     WHERE i.id IS NULL`,
  ];
  return (await Promise.all(asked.map((text) => db.query(text)))).flat();
}
