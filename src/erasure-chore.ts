import { readAppliedPos } from './events/applied-log.reader.js';
import type { DeadLetterErasureStore, LetterText } from './events/dead-letter-erasure.store.js';
import type { IdentifierPolicy } from './events/event.model.js';
import type { RetractionStore } from './events/retraction.store.js';
import {
  FIRST_DECISION,
  type DecisionPlace,
  type ErasedPerson,
  type IdentityErasureStore,
} from './identity/identity-erasure.store.js';
import type { LinkageModelStore } from './identity/matching/linkage-model.store.js';
import type { Clock } from './platform/clock.js';
import { newId, type Uuid } from './platform/ids.js';
import type { InstallationSecret } from './platform/installation-secret.js';
import type { Database } from './platform/postgres.js';
import type { ErasureLedger } from './privacy/erasure-ledger.js';
import type { KeyVault } from './privacy/key-vault.js';
import type { ErasureStore, OpenErasure } from './privacy/erasure.store.js';
import { PersonMatcher } from './privacy/person-matcher.js';
import { readPhoneRegions } from './privacy/phone-region.reader.js';
import { SuppressionHash } from './privacy/suppression-list.js';
import type { GroupStore } from './profiles/group.store.js';
import type { ProfileReader } from './profiles/profile.reader.js';
import type { ExportedRowStore } from './activation/exported-rows.store.js';
import type { RemovedWordStore } from './profiles/removed-word.store.js';
import type { DeliveryEraser } from './sources/webhooks/delivery-eraser.js';

export interface ErasureChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly secret: InstallationSecret;
  readonly vault: KeyVault | null;
  readonly policy: IdentifierPolicy;
  readonly profiles: ProfileReader;
  readonly erasures: ErasureStore;
  readonly retractions: RetractionStore;
  readonly letters: DeadLetterErasureStore;
  readonly deliveries: DeliveryEraser;
  readonly decisions: IdentityErasureStore;
  readonly words: RemovedWordStore;
  /** What was exported of people under names. */
  readonly exported: ExportedRowStore;
  /** What is kept of label files and training sets; how many went, null while it is not over. */
  readonly trainingSets: { forget(erasureId: Uuid, person: PersonMatcher): Promise<number | null> };
  readonly models: Pick<LinkageModelStore, 'hasPlainTerms'>;
  readonly groups: Pick<GroupStore, 'isForgetting'>;
  readonly ledger: ErasureLedger;
  /** There are values in stored models to be hashed. */
  readonly onPlainTerms: () => void;
  /** There are events to be taken back. */
  readonly onRetraction: () => void;
}

/** Least time between two looks for erasures where there was none, or where one has to wait. */
const LOOK_MS = 1_000;
const LETTERS_PER_PAGE = 500;

/** Where the look through dead letters, deliveries and decisions about who is who stands. */
interface Sweep {
  readonly erasureId: Uuid;
  letterId: number;
  deliveryId: number;
  /** Null: all were looked through. */
  decision: DecisionPlace | null;
}

/**
 * Erases people, step by step, between batches.
 *
 * 1. Once everything is applied that was accepted before the person was put on the list of those who must not come back,
 *    all that they are known by is collected anew: events on their way may have added to it. What is new goes on the list,
 *    and it is waited again. So in the end nothing is in the log, and nothing comes, that is not collected. Events of the
 *    person that would be moved to other anchors stay where they are until they are taken back (`move-misplaced.ts`);
 *    who was moving some when that began is waited for, and what came of it collected.
 * 2. The ledger outside the database has the erasure before anything is taken away.
 * 3. Events are taken back by the engine that takes back loads (`retraction-chore.ts`): those that hang on the person are
 *    deleted, those of others that name the person are rewritten without them.
 * 4. Dead letters, deliveries of webhooks, and what was decided about who is who are looked through page by page, each in
 *    a transaction of its own. Letters that name the person are deleted; of deliveries their items are, and of decisions
 *    the reasons.
 * 5. Members of the person's groups know what the person said of these until they are told that it went: that is waited
 *    for, whichever worker tells them.
 * 6. Stored models of record linkage may count values of the person until these are hashed (`term-keying-chore.ts`): that
 *    is waited for, too.
 * 7. Label files and training sets that name the person are removed, whichever process does (`training-set-eraser.ts`).
 * 8. With nothing of the person left, their keys are destroyed: copies of their events elsewhere can be read by nobody.
 * 9. Every step can be done twice. A process that dies leaves whole steps behind; where the look through letters stood is
 *    forgotten with it, and it begins anew.
 */
export class ErasureChore {
  readonly #parts: ErasureChoreParts;
  #lookAt = Number.NEGATIVE_INFINITY;
  #sweep: Sweep | null = null;

  constructor(parts: ErasureChoreParts) {
    this.#parts = parts;
  }

  /** There is something to do that the last look did not show. */
  wake(): void {
    this.#lookAt = Number.NEGATIVE_INFINITY;
  }

  /** Whom an erasure is of. */
  async personOf(erasureId: Uuid): Promise<PersonMatcher> {
    const { db, erasures, policy } = this.#parts;
    return new PersonMatcher(policy, await erasures.subjects(db, erasureId), await readPhoneRegions(db));
  }

  /** One step; false if there is nothing to do now. */
  async runOne(): Promise<boolean> {
    const { db, clock, erasures } = this.#parts;
    const now = clock.now();
    if (now < this.#lookAt) return false;
    const erasure = await erasures.next(db);
    if (erasure === null) {
      this.#lookAt = now + LOOK_MS;
      return false;
    }
    // One that waits for others is looked at each time: it goes on once they are done.
    return erasure.status === 'waiting' ? this.#begin(erasure) : this.#goOn(erasure);
  }

  async #begin(erasure: OpenErasure): Promise<boolean> {
    const { db, clock, secret, profiles, erasures, retractions, ledger, onRetraction } = this.#parts;
    const { id, profileId, barrierPos, requestedAt, reason, actor } = erasure;
    if ((await readAppliedPos(db)) < barrierPos) return false;
    const hash = new SuppressionHash(secret);
    const hasMore = await db.transaction(async (tx) => {
      await erasures.holdWorkers(tx);
      const survivor = (await profiles.survivors(tx, [profileId])).get(profileId);
      const found = survivor === undefined ? [] : await erasures.collect(tx, id, [survivor]);
      if (found.length > 0) await erasures.setBarrier(tx, id, await erasures.suppress(tx, hash, found, clock.now()));
      return found.length > 0;
    });
    if (hasMore) return true;
    const subjects = await erasures.subjects(db, id);
    const suppressed = subjects.map((subject) => ({ ns: subject.ns, hash: hash.of(subject.id) }));
    await ledger.append({ erasureId: id, requestedAt, reason, actor, suppressed });
    await db.transaction(async (tx) => {
      if (!(await erasures.setStatus(tx, id, 'waiting', 'running'))) return;
      const createdAt = clock.now();
      const retraction = { id: newId(createdAt), sourceId: null, loadId: null, erasureId: id, createdAt };
      const extent = await retractions.extent(tx, retraction);
      await retractions.insert(tx, { ...retraction, ...extent });
    });
    onRetraction();
    return true;
  }

  async #goOn(erasure: OpenErasure): Promise<boolean> {
    const { db, clock, vault, erasures, retractions, decisions, words, groups, models, onPlainTerms, exported } =
      this.#parts;
    const { trainingSets } = this.#parts;
    const retraction = await retractions.ofErasure(db, erasure.id);
    if (retraction === null || retraction.status === 'running') return false;
    if (retraction.status === 'failed') return erasures.setStatus(db, erasure.id, 'running', 'failed');
    if (await this.#sweepOn(erasure.id)) return true;
    if (await groups.isForgetting(db)) return false;
    if (await models.hasPlainTerms(db)) {
      onPlainTerms();
      return false;
    }
    await erasures.forgetSamples(db);
    await exported.forget(erasure.profileId);
    const matcher = await this.personOf(erasure.id);
    const exports = await trainingSets.forget(erasure.id, matcher);
    if (exports === null) return false;
    if (exports > 0) await erasures.count(db, erasure.id, { exports });
    const person = await this.#erased(erasure.id, matcher);
    const ids = person.subjects.map(({ id }) => id);
    await vault?.destroy(ids);
    await db.transaction(async (tx) => {
      await decisions.forget(tx, person);
      await words.forget(tx, ids);
      await erasures.finish(tx, erasure.id, retraction.removed, clock.now());
    });
    return true;
  }

  /** A page of letters, one of deliveries, or one of decisions about who is who; false once there are no more. */
  async #sweepOn(erasureId: Uuid): Promise<boolean> {
    const { db, vault, erasures, letters, deliveries } = this.#parts;
    if (this.#sweep?.erasureId !== erasureId) {
      this.#sweep = { erasureId, letterId: 0, deliveryId: 0, decision: FIRST_DECISION };
    }
    const sweep = this.#sweep;
    const person = await this.personOf(erasureId);
    const page = await letters.page(db, sweep.letterId, LETTERS_PER_PAGE);
    const last = page.at(-1);
    if (last !== undefined) {
      const theirs = await this.#lettersOf(person, page);
      if (theirs.length > 0) {
        // First the keys: where the process dies before the letters are gone, the next look knows them by these.
        await vault?.destroyOfLetters(theirs.flatMap((letter) => ownKeyOf(letter) ?? []));
        await db.transaction(async (tx) => {
          await letters.remove(tx, theirs);
          await erasures.count(tx, erasureId, { letters: theirs.length });
        });
      }
      sweep.letterId = last.id;
      return true;
    }
    const looked = await deliveries.remove(db, sweep.deliveryId, (text) => person.isNamedIn(text));
    if (looked === null) return this.#sweepDecisions(sweep, person);
    if (looked.removed > 0) await erasures.count(db, erasureId, { deliveries: looked.removed });
    sweep.deliveryId = looked.lastId;
    return true;
  }

  async #sweepDecisions(sweep: Sweep, person: PersonMatcher): Promise<boolean> {
    const { db, decisions } = this.#parts;
    const { decision } = sweep;
    if (decision === null) return false;
    const erased = await this.#erased(sweep.erasureId, person);
    sweep.decision = await db.transaction((tx) => decisions.sweep(tx, decision, erased));
    return true;
  }

  async #erased(erasureId: Uuid, person: PersonMatcher): Promise<ErasedPerson> {
    const { db, erasures } = this.#parts;
    return { subjects: await erasures.subjects(db, erasureId), isNamedIn: (text) => person.isNamedIn(text) };
  }

  /** Those that name the person, and of those that nobody can read the ones whose key an erasure destroyed, or is to. */
  async #lettersOf(person: PersonMatcher, page: readonly LetterText[]): Promise<LetterText[]> {
    const unreadable = page.filter(({ text }) => text === null);
    const destroyed = await this.#parts.vault?.destroyedOfLetters(unreadable.flatMap((each) => ownKeyOf(each) ?? []));
    return page.filter((letter) => {
      const { text, notes, sealId } = letter;
      if (person.isNamedIn(notes) || (sealId !== null && person.isOf({ id: sealId }))) return true;
      return text === null ? destroyed?.has(ownKeyOf(letter) ?? '') === true : person.isNamedIn(text);
    });
  }
}

/** The key that nothing but the letter is sealed with; null: there is none. */
function ownKeyOf({ pos, sealId }: LetterText): Uuid | null {
  return pos === null ? sealId : null;
}
