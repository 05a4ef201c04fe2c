import { EventHistoryReader } from '../../src/events/event-history.reader.js';
import { HASH_RANGE, ProfileHistoryReader } from '../../src/identity/profile-history.reader.js';
import type { Uuid } from '../../src/platform/ids.js';
import type { Definitions } from '../../src/segments/definitions.model.js';
import { HistoryReplay } from '../../src/segments/history-replay.js';
import { byProfile } from './pipeline-state.js';
import type { World } from './world.js';

/** The feed that everybody's past gives when it is lived through again, in lines as `readFeed` has them, and who is in what then. */
export async function replayedFeed(
  { db, engine }: Pick<World, 'db' | 'engine'>,
  definitions: Definitions,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): Promise<{ feed: Record<string, string[]>; memberships: string[] }> {
  const { pos: toPos } = await engine.log.head();
  const replay = new HistoryReplay({
    ...{ db, histories: new ProfileHistoryReader() },
    events: new EventHistoryReader(engine.sealer),
  });
  const founders = await db.query<{ id: Uuid; name: string }>(
    `SELECT p.id, i.ns || ':' || i.value AS name FROM profiles p JOIN identifiers i ON i.id = p.founding_id`,
  );
  const nameOf = new Map(founders.map(({ id, name }) => [id, name]));
  const keyOf = new Map(definitions.segments.ordered.map(({ segmentId, key }) => [segmentId, key]));
  const lines: string[] = [];
  const memberships: string[] = [];
  // In two slices: who is found by the one is not by the other.
  for (const slice of [
    { from: 0, to: HASH_RANGE / 4 },
    { from: HASH_RANGE / 4, to: HASH_RANGE },
  ]) {
    let after: Uuid | null = null;
    do {
      const page = await replay.page({ definitions, fromMs, toMs, toPos }, slice, after);
      for (const { changes, profiles } of page.histories) {
        for (const { profileId, segmentId, kind, at, cause, emit } of changes) {
          if (!emit) continue;
          const words = [nameOf.get(profileId), kind, keyOf.get(segmentId), 'at', at, cause.kind, cause.pos ?? ''];
          lines.push(words.join(' ').trimEnd());
        }
        for (const { id, memberships: own } of profiles) {
          memberships.push(...[...own.keys()].map((segmentId) => `${id} in ${keyOf.get(segmentId) ?? ''}`));
        }
      }
      after = page.next;
    } while (after !== null);
  }
  return { feed: byProfile(lines), memberships: memberships.sort() };
}
