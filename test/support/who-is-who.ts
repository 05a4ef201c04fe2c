import type { World } from './world.js';

/** The profile of each identifier. */
export async function whoIsWho({ db }: World): Promise<Map<string, string>> {
  const rows = await db.query<{ id: string; profile: string }>('SELECT id, profile_id AS profile FROM identifiers');
  return new Map(rows.map(({ id, profile }) => [id, profile]));
}

/** What moved between two states of who is who, counted without the code under test. */
export function differenceOf(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>) {
  const gone = [...before].filter(([id]) => !after.has(id));
  const moved = [...before].filter(([id, profile]) => after.has(id) && after.get(id) !== profile);
  const [were, are] = [new Set(before.values()), new Set(after.values())];
  const left = new Set(moved.map(([, profile]) => profile));
  return {
    identifiersMoved: moved.length,
    identifiersGone: gone.length,
    profilesSplit: [...left].filter((profile) => are.has(profile)).length,
    profilesMerged: [...left].filter((profile) => !are.has(profile)).length,
    profilesAdded: [...are].filter((profile) => !were.has(profile)).length,
  };
}
