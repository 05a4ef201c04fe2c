import { readAppliedPos } from './events/applied-log.reader.js';
import { failureReason } from './failure-reason.js';
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
import { mayPass } from './passing-failure.js';
import type { Clock } from './platform/clock.js';
import { newId, type Uuid } from './platform/ids.js';
import type { InstallationSecret } from './platform/installation-secret.js';
import type { Database } from './platform/postgres.js';
import type { ErasureLedger } from './privacy/erasure-ledger.js';
import type { KeyVault } from './privacy/key-vault.js';
import type { FailingErasures } from './privacy/erasure.model.js';
import type { ErasureStore, OpenErasure } from './privacy/erasure.store.js';
import { PersonMatcher } from './privacy/person-matcher.js';
import { readPhoneRegions } from './privacy/phone-region.reader.js';
import { SuppressionHash } from './privacy/suppression-list.js';
import type { GroupStore } from './profiles/group.store.js';
import type { ProfileReader } from './profiles/profile.reader.js';
import type { ExportedRowStore } from './activation/exported-rows.store.js';
import type { RemovedWordStore } from './profiles/removed-word.store.js';
import type { DeliveryEraser } from './sources/webhooks/delivery-eraser.js';

export interface ErasureObserver {
  /** @param failures in a row */
  choreFailed(chore: string, error: unknown, failures: number): void;
  /** Erasures that do not get on, as of now. */
  erasuresFailing(count: FailingErasures): void;
}

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
  readonly observer: ErasureObserver;
}

/** Least time between two looks for erasures where there was none, or where one has to wait. */
const LOOK_MS = 1_000;
const LETTERS_PER_PAGE = 500;
/** From when all of them wait to the next look, unless this process does something meanwhile. */
const REST_MS = 250;
/** Erasures of one turn that turn out to wait, so that others have their turn. */
const MAX_TURN_WAITING = 8;
/** Erasures of which it is known how far the look through letters is; of one more the first one's begins anew. */
const MAX_SWEEPS = 1_000;
/** Failures in a row of one erasure that may pass and are the worker's to wait for, before it lets others go first. */
const MAX_PASSING = 4;

/** Where the look through dead letters, deliveries and decisions about who is who stands. */
interface Sweep {
  letterId: number;
  deliveryId: number;
  /** Null: all were looked through. */
  decision: DecisionPlace | null;
}

/** What a look at an erasure came to: something was done, or it waits for others. */
type StepEnd = 'stepped' | 'waits';

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
 * 8. With nothing of the person left, their keys are destroyed: copies of all that named them can be read by nobody. Before
 *    that whatever works on the log is waited for, which may have read events of others before these were rewritten.
 * 9. Every step can be done twice. A process that dies leaves whole steps behind; where the look through letters stood is
 *    forgotten with it, and it begins anew.
 * 10. One of which a step fails is put off, up to an hour, and tried again for as long as it takes; the others go on
 *    meanwhile. So they do while one waits: for what was accepted before it (1), for its events (3), groups (5), models (6) or
 *     files (7). It is looked at again once all others were; where these
 *     have much to do after a second, those that wait for longest first, one a turn. Where all of them wait they are looked
 *     at four times a second, and whenever this process has done anything (`stir`).
 */
export class ErasureChore {
  readonly #parts: ErasureChoreParts;
  /** There was none: not before this is anything looked for. */
  #lookAt = Number.NEGATIVE_INFINITY;
  /** All of them waited: likewise. */
  #restUntil = Number.NEGATIVE_INFINITY;
  /** Something was done since the first of those that wait now was looked at. */
  #isStirred = false;
  readonly #sweeps = new Map<Uuid, Sweep>();
  /** Those that wait, and were looked at since all others were, with when that was; the longest ago first. */
  readonly #waiting = new Map<Uuid, number>();
  /** What it is at, for people to read. */
  #at = '';
  #passing: { readonly id: Uuid; readonly failures: number } | null = null;

  constructor(parts: ErasureChoreParts) {
    this.#parts = parts;
  }

  /** There is something to do that the last look did not show. */
  wake(): void {
    this.#lookAt = Number.NEGATIVE_INFINITY;
    this.stir();
  }

  /** Something was done, whatever it was: those that wait may have waited for it. */
  stir(): void {
    this.#isStirred = true;
    this.#restUntil = Number.NEGATIVE_INFINITY;
  }

  /** Whom an erasure is of. */
  async personOf(erasureId: Uuid): Promise<PersonMatcher> {
    const { db, erasures, policy } = this.#parts;
    return new PersonMatcher(policy, await erasures.subjects(db, erasureId), await readPhoneRegions(db));
  }

  /** One step; false if there is nothing to do now. @throws WeftError where the failure may pass */
  async runOne(): Promise<boolean> {
    const { db, clock, erasures, observer } = this.#parts;
    const now = clock.now();
    if (now < this.#lookAt || this.#isResting(now)) return false;
    let mayRepeat = true;
    for (let looked = 0; looked < MAX_TURN_WAITING; looked++) {
      if (this.#waiting.size === 0) this.#isStirred = false;
      const repeated = mayRepeat ? await this.#longestAgo(now) : null;
      mayRepeat = false;
      const erasure = repeated ?? (await erasures.next(db, now, { except: [...this.#waiting.keys()] }));
      if (erasure === null) {
        if (this.#waiting.size === 0) {
          this.#lookAt = now + LOOK_MS;
          observer.erasuresFailing(await erasures.countFailing(db));
          return false;
        }
        this.#waiting.clear();
        if (this.#isStirred) continue;
        this.#restUntil = now + REST_MS;
        return false;
      }
      if ((await this.#tryStep(erasure)) === 'stepped') return true;
      this.#waiting.set(erasure.id, now);
    }
    return false;
  }

  /** A clock that was set back makes it no longer. */
  #isResting(now: number): boolean {
    return now < this.#restUntil && this.#restUntil - now <= REST_MS;
  }

  /** Of those that wait, the one that nobody has looked at for longest; null where that is no second ago. */
  async #longestAgo(now: number): Promise<OpenErasure | null> {
    const { db, erasures } = this.#parts;
    const [first] = this.#waiting;
    if (first === undefined || Math.abs(now - first[1]) < LOOK_MS) return null;
    this.#waiting.delete(first[0]);
    return erasures.next(db, now, { only: first[0] });
  }

  async #tryStep(erasure: OpenErasure): Promise<StepEnd> {
    const { db, clock, erasures, observer } = this.#parts;
    try {
      const step = await (erasure.status === 'waiting' ? this.#begin(erasure) : this.#goOn(erasure));
      this.#passing = null;
      return step;
    } catch (error) {
      if (mayPass(error) && this.#isToPass(erasure.id)) throw error;
      this.#passing = null;
      const failure = `${this.#at}: ${failureReason(error)}`;
      await erasures.fail(db, erasure.id, { failure, nowMs: clock.now() });
      observer.choreFailed('erasures', error, erasure.failures + 1);
      observer.erasuresFailing(await erasures.countFailing(db));
      return 'stepped';
    }
  }

  /** Counts a failure that may pass; false once there were too many of one erasure in a row. */
  #isToPass(id: Uuid): boolean {
    const failures = (this.#passing?.id === id ? this.#passing.failures : 0) + 1;
    this.#passing = { id, failures };
    return failures < MAX_PASSING;
  }

  async #begin(erasure: OpenErasure): Promise<StepEnd> {
    this.#at = 'what the person is known by';
    const { db, clock, secret, profiles, erasures, retractions, ledger, onRetraction } = this.#parts;
    const { id, profileId, barrierPos, requestedAt, reason, actor } = erasure;
    if ((await readAppliedPos(db)) < barrierPos) return 'waits';
    const hash = new SuppressionHash(secret);
    const collected = await db.transaction(async (tx) => {
      await erasures.holdWorkers(tx);
      // Another worker may have collected more since this one was read: what it waits for then is waited for here, too.
      const barrier = await erasures.lockBarrier(tx, id);
      if (barrier === null || (await readAppliedPos(tx)) < barrier) return null;
      const survivor = (await profiles.survivors(tx, [profileId])).get(profileId);
      const found = survivor === undefined ? [] : await erasures.collect(tx, id, [survivor]);
      if (found.length > 0) await erasures.setBarrier(tx, id, await erasures.suppress(tx, hash, found, clock.now()));
      return found.length;
    });
    if (collected === null) return 'waits';
    if (collected > 0) return 'stepped';
    this.#at = 'the ledger';
    const subjects = await erasures.subjects(db, id);
    const suppressed = subjects.map((subject) => ({ ns: subject.ns, hash: hash.of(subject.id) }));
    await ledger.append({ erasureId: id, requestedAt, reason, actor, suppressed });
    this.#at = 'events to be taken back';
    await db.transaction(async (tx) => {
      if (!(await erasures.setStatus(tx, id, 'waiting', 'running'))) return;
      const createdAt = clock.now();
      const retraction = { id: newId(createdAt), sourceId: null, loadId: null, erasureId: id, createdAt };
      const extent = await retractions.extent(tx, retraction);
      await retractions.insert(tx, { ...retraction, ...extent });
    });
    onRetraction();
    return 'stepped';
  }

  async #goOn(erasure: OpenErasure): Promise<StepEnd> {
    this.#at = 'events to be taken back';
    const { db, clock, vault, erasures, retractions, decisions, words, groups, models, onPlainTerms, exported } =
      this.#parts;
    const { trainingSets } = this.#parts;
    const retraction = await retractions.ofErasure(db, erasure.id);
    if (retraction === null || retraction.status === 'running') return 'waits';
    if (retraction.status === 'failed') {
      if (!(await erasures.setStatus(db, erasure.id, 'running', 'failed'))) return 'waits';
      this.#parts.observer.erasuresFailing(await erasures.countFailing(db));
      return 'stepped';
    }
    if (await this.#sweepOn(erasure.id)) return 'stepped';
    this.#at = 'groups and models';
    if (await groups.isForgetting(db)) return 'waits';
    if (await models.hasPlainTerms(db)) {
      onPlainTerms();
      return 'waits';
    }
    this.#at = 'tracking plans';
    await erasures.forgetSamples(db);
    this.#at = 'tables of people';
    await exported.forget(erasure.profileId);
    this.#at = 'label files and training sets';
    const matcher = await this.personOf(erasure.id);
    const exports = await trainingSets.forget(erasure.id, matcher);
    if (exports === null) return 'waits';
    if (exports > 0) await erasures.count(db, erasure.id, { exports });
    const person = await this.#erased(erasure.id, matcher);
    const ids = person.subjects.map(({ id }) => id);
    this.#at = 'keys';
    if (vault !== null) {
      await db.transaction((tx) => erasures.holdWorkers(tx));
      await vault.destroy(ids);
    }
    this.#at = 'the last transaction';
    await db.transaction(async (tx) => {
      await decisions.forget(tx, person);
      await words.forget(tx, ids);
      await erasures.finish(tx, erasure.id, retraction.removed, clock.now());
    });
    this.#sweeps.delete(erasure.id);
    return 'stepped';
  }

  /** A page of letters, one of deliveries, or one of decisions about who is who; false once there are no more. */
  async #sweepOn(erasureId: Uuid): Promise<boolean> {
    const { db, vault, erasures, letters, deliveries } = this.#parts;
    const sweep = this.#sweepOf(erasureId);
    this.#at = 'dead letters';
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
    this.#at = 'deliveries of webhooks';
    const looked = await deliveries.remove(db, sweep.deliveryId, (text) => person.isNamedIn(text));
    if (looked === null) return this.#sweepDecisions(erasureId, sweep, person);
    if (looked.removed > 0) await erasures.count(db, erasureId, { deliveries: looked.removed });
    sweep.deliveryId = looked.lastId;
    return true;
  }

  #sweepOf(erasureId: Uuid): Sweep {
    const known = this.#sweeps.get(erasureId);
    if (known !== undefined) return known;
    const [first] = this.#sweeps.keys();
    if (first !== undefined && this.#sweeps.size === MAX_SWEEPS) this.#sweeps.delete(first);
    const begun = { letterId: 0, deliveryId: 0, decision: FIRST_DECISION };
    this.#sweeps.set(erasureId, begun);
    return begun;
  }

  async #sweepDecisions(erasureId: Uuid, sweep: Sweep, person: PersonMatcher): Promise<boolean> {
    this.#at = 'decisions about who is who';
    const { db, decisions } = this.#parts;
    const { decision } = sweep;
    if (decision === null) return false;
    const erased = await this.#erased(erasureId, person);
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
