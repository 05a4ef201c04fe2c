import { ChangeFeedReader } from './activation/change-feed.reader.js';
import type { DefinitionsLoader } from './definitions.js';
import type { Engine } from './engine.js';
import { AnchorStateStore } from './features/anchor-state.store.js';
import { IdentityMoveReader } from './identity/identity-move.reader.js';
import type { Clock } from './platform/clock.js';
import type { Database } from './platform/postgres.js';
import type { ProfileExports } from './privacy/profile-export.model.js';
import { ProfileExporter } from './profile-exporter.js';
import { ProfileSnapshotReader } from './profile-snapshot.reader.js';
import { MemoryOnlineStore } from './profiles/online-store.memory.js';
import { ProfileReader } from './profiles/profile.reader.js';
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
  const current = () => definitions.current();
  const parts = {
    db,
    profiles,
    definitions: current,
    anchors: new AnchorStateStore(),
    memberships: new MembershipStore(),
  };
  return {
    open: (profileId) => {
      // Of its own, so that nothing in it is of before.
      const store = new MemoryOnlineStore({ maxBytes: MAX_STORE_BYTES, clock });
      const observer = { readThrough: () => undefined, storeFailed: () => undefined };
      const snapshots = new ProfileSnapshotReader({ ...parts, store: () => store, observer });
      const feed = new ChangeFeedReader(db);
      const moves = new IdentityMoveReader();
      return new ProfileExporter({ db, clock, definitions: current, snapshots, profiles, moves, log, feed }).open(
        profileId,
      );
    },
  };
}

const MAX_STORE_BYTES = 64 * 1024 * 1024;
