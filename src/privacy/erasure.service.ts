import type { RawIdentifier, IdentifierPolicy } from '../events/event.model.js';
import { isNamedByMisplaced } from '../identity/misplaced-evidence.reader.js';
import { standsForNobody } from '../identity/nobody.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { LEAST_ID, newId, type Uuid } from '../platform/ids.js';
import type { InstallationSecret } from '../platform/installation-secret.js';
import type { Database } from '../platform/postgres.js';
import type { ProfileReader } from '../profiles/profile.reader.js';
import type { ErasureLedger, LedgerEntry } from './erasure-ledger.js';
import { readErasureWait } from './erasure-wait.reader.js';
import { isUnderWay, MAX_REASON_LENGTH, type Erasure } from './erasure.model.js';
import type { ErasurePlace, ErasureStore } from './erasure.store.js';
import { SuppressionHash } from './suppression-list.js';

export interface ErasureDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly secret: InstallationSecret;
  readonly policy: IdentifierPolicy;
  readonly profiles: ProfileReader;
  readonly store: ErasureStore;
  /** Told of each that there is to do. */
  readonly onRequested: () => void;
  /** Rejects when the signal is aborted. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** Whom to erase: by the id of their profile, or by anything that they are known by. */
export type ErasureTarget = { readonly profileId: Uuid } | { readonly identifier: RawIdentifier };

export interface ErasureRequest {
  /** Why: kept with the receipt, so without personal data. */
  readonly reason: string;
  /** Who asks. */
  readonly actor: string;
}

export interface ReplayedLedger {
  readonly entries: number;
  /** Erasures that were begun anew, for the person was in the database again. */
  readonly begun: readonly Erasure[];
}

const POLL_MS = 50;
/** Between two words on what is waited for. */
const TELL_EVERY_MS = 5_000;
const IDENTIFIERS_PER_PAGE = 10_000;

/**
 * Erases people: whoever asks has a receipt once it is on record that the person must be gone, and workers do it. From
 * that moment nothing more is accepted of them.
 */
export class ErasureService {
  constructor(private readonly deps: ErasureDependencies) {}

  /**
   * The receipt; asked again while it is under way, the same.
   * @throws WeftError NOT_FOUND; UNAVAILABLE while all that is known of somebody hangs on a value that counts for nobody by
   *   now (ADR 32); BAD_REQUEST; NOT_CONFIGURED where the installation has no secret
   */
  async request(target: ErasureTarget, { reason, actor }: ErasureRequest): Promise<Erasure> {
    const { db, clock, secret, profiles, store } = this.deps;
    if (reason.length > MAX_REASON_LENGTH) {
      throw new WeftError('BAD_REQUEST', `the reason is longer than ${String(MAX_REASON_LENGTH)} characters`, {
        where: 'reason',
        hint: 'shorten it; it should name nobody',
      });
    }
    const hash = new SuppressionHash(secret);
    const { asked, ids } = await this.#namedBy(target);
    const requestedAt = clock.now();
    const erasure = await db.transaction(async (tx) => {
      let profileId = (await profiles.survivors(tx, [asked])).get(asked) ?? null;
      if (profileId === null) {
        // There is no profile to lock by which one comes second.
        await store.lockGivenUp(tx);
        profileId = await store.unfinished(tx, asked, ids);
      }
      if (profileId === null) throw noSuchProfile();
      // Of two who ask at once, one comes second and finds the first one's.
      await profiles.lock(tx, [profileId]);
      const standing = await store.underWay(tx, profileId);
      if (standing !== null) return standing;
      const id = newId(requestedAt);
      await store.insert(tx, { id, profileId, reason, actor, requestedAt });
      const subjects = await store.collect(tx, id, [profileId]);
      // These are on the list already, but for what was taken off it since.
      const takenOver = await store.takeOver(tx, id, profileId);
      const barrier = await store.suppress(tx, hash, [...subjects, ...takenOver], requestedAt);
      await store.setBarrier(tx, id, barrier);
      return found(await store.find(tx, id));
    });
    this.deps.onRequested();
    return erasure;
  }

  async find(id: Uuid): Promise<Erasure | null> {
    return this.deps.store.find(this.deps.db, id);
  }

  async page(before: ErasurePlace | null, limit: number): Promise<Erasure[]> {
    return this.deps.store.page(this.deps.db, before, limit);
  }

  /**
   * Resolves once nothing answers with the person any more; rejects when the signal is aborted, and goes on all the same.
   * @param options.onWait told every five seconds what it waits for, for people to read
   * @throws WeftError NOT_FOUND; CONFLICT where it failed again and again
   */
  async done(
    id: Uuid,
    { signal, onWait }: { readonly signal?: AbortSignal; readonly onWait?: (what: string) => void } = {},
  ): Promise<Erasure> {
    const { clock, db } = this.deps;
    for (let toldAt = clock.now(); ;) {
      const erasure = await this.find(id);
      if (erasure === null) throw new WeftError('NOT_FOUND', 'there is no such erasure', { where: id });
      if (erasure.status === 'failed') {
        throw new WeftError('CONFLICT', 'the erasure could not be brought to an end', {
          where: id,
          hint: '`weft doctor` (erasures) says why, the log of the worker more; ask for the erasure again once that is mended',
        });
      }
      if (!isUnderWay(erasure)) return erasure;
      if (onWait !== undefined && clock.now() - toldAt >= TELL_EVERY_MS) {
        toldAt = clock.now();
        const what = await readErasureWait(db, id);
        if (what !== null) onWait(what);
      }
      await this.deps.sleep(POLL_MS, signal);
    }
  }

  /**
   * Lets an identifier of somebody who was erased be accepted again.
   * @throws WeftError NOT_FOUND where it is not on the list; CONFLICT while somebody is being erased who is known by it:
   *   what came in of them now would be lost with their keys; BAD_REQUEST
   */
  async unsuppress(identifier: RawIdentifier): Promise<void> {
    const { db, secret, store } = this.deps;
    const hash = new SuppressionHash(secret);
    let isLifted = false;
    for (const id of this.#identifierIds(identifier)) {
      const lifted = await db.transaction(async (tx) => {
        const wasListed = await store.lift(tx, hash.of(id));
        // Asked with the row of the log locked that whoever asks for an erasure locks, too.
        if (wasListed && (await store.isUnderWayFor(tx, id))) throw stillBeingErased();
        return wasListed;
      });
      if (lifted) isLifted = true;
    }
    if (!isLifted) throw new WeftError('NOT_FOUND', 'this identifier is not suppressed', { where: 'identifier' });
  }

  /** Erases everybody in the ledger who is in the database again, as after a backup was restored. */
  async replay(ledger: ErasureLedger, actor: string): Promise<ReplayedLedger> {
    const { db, clock, store } = this.deps;
    const entries = await ledger.read();
    const suppressed = entries.flatMap((entry) => entry.suppressed);
    if (suppressed.length > 0) {
      await db.transaction((tx) => store.suppressHashes(tx, suppressed, clock.now()));
    }
    const begun: Erasure[] = [];
    for await (const { profileId, entry } of this.#stillKnown(entries)) {
      const receipt = await this.request(
        { profileId },
        { reason: `again: ${entry.reason}`.slice(0, MAX_REASON_LENGTH), actor },
      );
      if (begun.every(({ id }) => id !== receipt.id)) begun.push(receipt);
    }
    return { entries: entries.length, begun };
  }

  async *#stillKnown(entries: readonly LedgerEntry[]): AsyncGenerator<{ profileId: Uuid; entry: LedgerEntry }> {
    const { db, secret } = this.deps;
    const hash = new SuppressionHash(secret);
    const entryOf = new Map(
      entries.flatMap((entry) => entry.suppressed.map((each) => [each.hash.toString('latin1'), entry] as const)),
    );
    for (let afterId = LEAST_ID; ;) {
      const rows = await db.query<{ id: Uuid; profileId: Uuid }>(
        'SELECT id, profile_id AS "profileId" FROM identifiers WHERE id > $1 ORDER BY id LIMIT $2',
        [afterId, IDENTIFIERS_PER_PAGE],
      );
      for (const { id, profileId } of rows) {
        const entry = entryOf.get(hash.of(id).toString('latin1'));
        if (entry !== undefined) yield { profileId, entry };
      }
      const last = rows.at(-1);
      if (last === undefined) return;
      afterId = last.id;
    }
  }

  /** The living profile. @throws WeftError NOT_FOUND; UNAVAILABLE, as {@link request}; BAD_REQUEST */
  async profileOf(target: ErasureTarget): Promise<Uuid> {
    const { asked } = await this.#namedBy(target);
    const profileId = (await this.deps.profiles.survivors(this.deps.db, [asked])).get(asked);
    if (profileId === undefined) throw noSuchProfile();
    return profileId;
  }

  /** The profile, and the identifiers if it is by these. */
  async #namedBy(target: ErasureTarget): Promise<{ readonly asked: Uuid; readonly ids: readonly Uuid[] }> {
    if ('profileId' in target) return { asked: target.profileId, ids: [] };
    const { db, profiles, store } = this.deps;
    const ids = this.#identifierIds(target.identifier);
    const found = await profiles.byIdentifiers(db, ids);
    const profileId = ids.map((id) => found.get(id)).find((id) => id !== undefined);
    if (profileId !== undefined) return { asked: profileId, ids };
    const unfinished = await store.unfinished(db, null, ids);
    if (unfinished !== null) return { asked: unfinished, ids };
    const { policy } = this.deps;
    const isBlocked = policy.blockedBy(target.identifier) !== null;
    if (!isBlocked && (await isNamedByMisplaced(db, ids))) throw notThereYet();
    throw isBlocked ? standsForNobody(target.identifier, policy, 'identifier', 'NOT_FOUND') : noSuchProfile();
  }

  /** As it is normalised, and as it was by former rules; at least one. */
  #identifierIds(raw: RawIdentifier): Uuid[] {
    const { policy } = this.deps;
    const { identifiers, formerIds = [] } = policy.resolve([raw]);
    const ids = [...identifiers.map(({ id }) => id), ...formerIds];
    if (ids.length > 0) return ids;
    throw standsForNobody(raw, policy, 'identifier');
  }
}

function found(erasure: Erasure | null): Erasure {
  if (erasure === null) throw new Error('an erasure that was written is not there');
  return erasure;
}

function notThereYet(): WeftError {
  return new WeftError('UNAVAILABLE', 'events that name this person are still being moved to them', {
    where: 'profile',
    hint: 'ask again in a minute: nothing was done yet; `weft identity revisions` says how far the move is',
    retryAfterMs: 60_000,
  });
}

function stillBeingErased(): WeftError {
  return new WeftError('CONFLICT', 'somebody who is known by this identifier is being erased', {
    where: 'identifier',
    hint: 'ask again once that is done: `weft privacy receipts` says how far it is',
  });
}

function noSuchProfile(): WeftError {
  return new WeftError('NOT_FOUND', 'there is no such profile', {
    where: 'profile',
    hint: 'name one by its id, or by an identifier that events have carried',
  });
}
