import { ChangeFeedReader } from './activation/change-feed.reader.js';
import type { DefinitionsLoader } from './definitions.js';
import type { Engine } from './engine.js';
import { AnchorStateStore } from './features/anchor-state.store.js';
import { IdentityMoveReader } from './identity/identity-move.reader.js';
import type { JsonValue } from './events/event.model.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import { nameHint } from './platform/near-names.js';
import type { Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import type { ProfileColumns, ProfileTable } from './privacy/export-anonymised.command.js';
import type { ProfileExports } from './privacy/profile-export.model.js';
import { ProfileExporter } from './profile-exporter.js';
import { ProfileSnapshotReader } from './profile-snapshot.reader.js';
import { consentTrait, isAllowed, UNDECLARED } from './profiles/consent.model.js';
import { unknownPurpose } from './profiles/purpose.model.js';
import { MemoryOnlineStore } from './profiles/online-store.memory.js';
import { TraitDefinitionReader } from './profiles/trait-definition.reader.js';
import { ProfileReader } from './profiles/profile.reader.js';
import type { ProfileSnapshot } from './segments/profile-snapshot.model.js';
import { MembershipStore } from './segments/membership.store.js';

export interface ProfileExportParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Engine['log'];
  readonly definitions: Pick<DefinitionsLoader, 'current'>;
}

/** Wires exports of people. What they say is read from the database, whatever copies say. */
export function createProfileExports({ db, clock, log, definitions }: ProfileExportParts): ProfileExports {
  const profiles = new ProfileReader();
  return {
    open: (profileId) => {
      const store = new MemoryOnlineStore({ maxBytes: MAX_STORE_BYTES, clock });
      return new ProfileExporter({
        db,
        clock,
        definitions: () => definitions.current(),
        snapshots: snapshotsIn(store, { db, profiles, definitions }),
        profiles,
        moves: new IdentityMoveReader(),
        log,
        feed: new ChangeFeedReader(db),
      }).open(profileId);
    },
  };
}

const PROFILES_PER_PAGE = 500;
const MAX_TABLE_ROWS = 500_000;
const PROGRESS_EVERY_ROWS = 50_000;

/**
 * A row for each living profile that is in the segments and allows the purposes named: traits, null where there is none, and
 * whether it is in other segments.
 * @throws WeftError PAYLOAD_TOO_LARGE for more than 500,000 profiles; NOT_FOUND for a segment or purpose that there is not;
 * BAD_REQUEST for a trait that is sealed
 */
export async function readProfileTable(
  { db, clock, definitions }: Pick<ProfileExportParts, 'db' | 'clock' | 'definitions'>,
  { traits, segments, within, purposes: needed }: ProfileColumns,
  onProgress: (profiles: number) => void,
): Promise<ProfileTable> {
  const { stored, purposes } = await definitions.current();
  const unknown = unknownPurpose(needed, new Set(purposes.keys()));
  if (unknown !== null) throw new WeftError('NOT_FOUND', unknown.message, { where: '--purposes', hint: unknown.hint });
  const sealed = await new TraitDefinitionReader(db).sealedNames();
  const unread = traits.find((name) => sealed.has(name));
  if (unread !== undefined) {
    throw new WeftError('BAD_REQUEST', `the trait ${unread} is sealed`, {
      where: '--traits',
      hint: 'leave it out: what is sealed is opened for one person at a time, by weft profiles export',
    });
  }
  const idsOf = (keys: readonly string[], where: string): number[] =>
    keys.map((key) => {
      const id = stored.get(key)?.id;
      if (id !== undefined) return id;
      const hint = nameHint(key, stored.keys(), 'weft segment list');
      throw new WeftError('NOT_FOUND', `there is no segment ${key}`, { where, hint });
    });
  const [segmentIds, withinIds] = [idsOf(segments, '--segments'), idsOf(within, '--within')];
  const profiles = new ProfileReader();
  const allows = ({ traits: held, asOf }: ProfileSnapshot): boolean =>
    needed.every((key) =>
      isAllowed(purposes.get(key) ?? UNDECLARED, held.get(consentTrait(key)), Math.max(clock.now(), asOf + 1)),
    );
  const rows: JsonValue[][] = [];
  let withheldProfiles = 0;
  for (let after: Uuid | null = null; ;) {
    const ids: Uuid[] = await profiles.idsAfter(db, after, PROFILES_PER_PAGE);
    const store = new MemoryOnlineStore({ maxBytes: MAX_STORE_BYTES, clock });
    for (const snapshot of await snapshotsIn(store, { db, profiles, definitions }).byIds(ids)) {
      if (snapshot === null) continue;
      const isIn = new Set(snapshot.memberships.map(({ segmentId }) => segmentId));
      if (!withinIds.every((id) => isIn.has(id))) continue;
      if (!allows(snapshot)) {
        withheldProfiles++;
        continue;
      }
      rows.push([
        ...traits.map((name) => snapshot.traits.get(name)?.value ?? null),
        ...segmentIds.map((id) => isIn.has(id)),
      ]);
      if (rows.length % PROGRESS_EVERY_ROWS === 0) onProgress(rows.length);
    }
    if (rows.length > MAX_TABLE_ROWS) {
      throw new WeftError('PAYLOAD_TOO_LARGE', `there are more than ${String(MAX_TABLE_ROWS)} profiles`, {
        where: 'weft export profiles',
        hint: 'export training sets of a sample of them: weft export training-set',
      });
    }
    after = ids.at(-1) ?? null;
    if (after === null) return { columns: [...traits, ...segments], rows, withheldProfiles };
  }
}

/** Reads of the database: what is in a store that is new is of now. */
export function snapshotsIn(
  store: MemoryOnlineStore,
  { db, profiles, definitions }: { readonly profiles: ProfileReader } & Pick<ProfileExportParts, 'db' | 'definitions'>,
): ProfileSnapshotReader {
  return new ProfileSnapshotReader({
    db,
    profiles,
    store: () => store,
    definitions: () => definitions.current(),
    anchors: new AnchorStateStore(),
    memberships: new MembershipStore(),
    observer: { readThrough: () => undefined, storeFailed: () => undefined },
  });
}

const MAX_STORE_BYTES = 64 * 1024 * 1024;
