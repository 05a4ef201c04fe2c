import type { LoadedDefinitions } from './definitions.js';
import { LeaseLost } from './events/partition-lease.model.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { IdentityRevisionStore } from './identity/identity-revision.store.js';
import type { IdentityRevisionStep } from './identity/identity-revision.step.js';
import { componentsAfter, estimateComponents } from './identity/component-page.reader.js';
import type { IdentityReviewStore } from './identity/matching/identity-review.store.js';
import { LinkageModelReader } from './identity/matching/linkage-model.reader.js';
import type { LinkageModelStore } from './identity/matching/linkage-model.store.js';
import {
  pairKey,
  type AppliedModel,
  type MatchingState,
  type RecordPairIds,
} from './identity/matching/matching.model.js';
import type { MatchingStore } from './identity/matching/matching.store.js';
import type { ModelLinks } from './identity/matching/model-links.js';
import type { TermHash } from './identity/matching/term-hash.js';
import type { UnmatchedComponents, UnmatchedIdentifier } from './identity/matching/unmatched-components.js';
import { scoreCandidates } from './identity/matching/score-candidates.js';
import { blockingKeysOf } from './identity/linkage/score-pair.js';
import type { LinkageRecord } from './identity/linkage/linkage-model.model.js';
import { resultOf } from './identity/revision-decider.js';
import type { ComparedBy, MatchedRecords } from './matched-records.js';
import { mayPass } from './passing-failure.js';
import { DefinitionsChanged } from './pipeline-transaction.js';
import type { Pipeline } from './pipeline.js';
import type { Clock } from './platform/clock.js';
import { WeftError } from './platform/errors.js';
import { newId, type Uuid } from './platform/ids.js';
import type { Database, Queryable, Transaction } from './platform/postgres.js';
import type { ErasureStore } from './privacy/erasure.store.js';

export interface MatchingChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly leases: PartitionLeases;
  readonly pipeline: Pipeline;
  readonly store: MatchingStore;
  readonly models: LinkageModelStore;
  readonly links: ModelLinks;
  readonly reviews: IdentityReviewStore;
  readonly revisions: IdentityRevisionStore;
  /** Locks components. */
  readonly revision: Pick<IdentityRevisionStep, 'lock'>;
  readonly records: MatchedRecords;
  /** What stands for values in the frequencies of stored models. */
  readonly terms: TermHash | null;
  /** Components with too much evidence to be compared. */
  readonly unmatched: UnmatchedComponents;
  readonly erasures: Pick<ErasureStore, 'among'>;
}

/** Of one step: identifiers or components, records that are scored, records that these are compared with, links. */
const MAX_KEYED = 200;
const MAX_SCORED = 200;
const MAX_CANDIDATES = 20_000;
const MAX_LINKED = 200;
/** Links are not put off for longer than that, however much is to be compared. */
const STEPS_PER_LINKING = 8;
/** Least time between two looks where there was nothing to do, ms. */
const LOOK_MS = 1_000;
/** After so many failures in a row a step does one thing alone. */
const MAX_COUNTED_FAILURES = 8;

/**
 * Compares people by the active model of record linkage, and links those who weigh enough, step by step between batches.
 *
 * 1. What is compared are the groups of identifiers that evidence and people's decisions make: what models link is no part
 *    of it. So records, and the pairs that they make, are a function of what was sent, in whatever order.
 * 2. The holder of the first partition does it. Whoever changes what a record is made of marks one of its identifiers in
 *    the same transaction (`matching-marks.ts`). A step takes marks off with all of the components locked, in order of
 *    ids, and reads them then: a mark that comes later is of a change that comes later. Of contested components only the
 *    marked identifiers are locked, and none is read: all members are marked once they are contested no more.
 * 3. A record is put in its blocks (`#key`), then compared with all records of these (`#score`); pairs are linked, or taken
 *    apart, by the code that carries out people's decisions, a bounded number at a time (`#link`), with the components of
 *    these locked in order of ids: other workers go on with everybody else.
 * 4. A model that is activated has all components gone through first, and compares nothing before all are in their blocks:
 *    links of the model before stand until then, and go only if it would not make them.
 * 5. Whoever is to be erased is neither linked with anybody nor taken apart until that is done: an erasure takes all that
 *    the person is known by when it begins, and would take others along.
 * 6. Every step can be done twice, and a process that dies leaves whole steps behind.
 * 7. After a failure steps do less, down to one record or pair; `chore-turns.ts` puts it off meanwhile, and tells of it.
 */
export class MatchingChore {
  readonly #parts: MatchingChoreParts;
  #lookAt = Number.NEGATIVE_INFINITY;
  #applied: { readonly version: string; readonly activatedAt: number; readonly model: AppliedModel } | null = null;
  #stepsSinceLinking = 0;
  #failures = 0;
  #wasPage = false;

  constructor(parts: MatchingChoreParts) {
    this.#parts = parts;
  }

  /** There is something to do that the last look did not show. */
  wake(): void {
    this.#lookAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * One step; false if there is nothing to do here.
   * @throws DefinitionsChanged, LeaseLost; whatever a step failed with
   */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, clock, leases } = this.#parts;
    const now = clock.now();
    if (now < this.#lookAt || !leases.held.some(({ part }) => part === 0)) return false;
    try {
      const state = await new LinkageModelReader(db).state();
      const applied = await this.#appliedBy(definitions);
      const isBusy = await this.#step(definitions, state, applied);
      this.#failures = 0;
      if (!isBusy) this.#lookAt = now + LOOK_MS;
      return isBusy;
    } catch (error) {
      this.#parts.pipeline.forget();
      this.#applied = null;
      const isItsOwn = !(error instanceof DefinitionsChanged || error instanceof LeaseLost || mayPass(error));
      if (isItsOwn) this.#failures = Math.min(this.#failures + 1, MAX_COUNTED_FAILURES);
      throw error;
    }
  }

  async #step(definitions: LoadedDefinitions, state: MatchingState, applied: AppliedModel | null): Promise<boolean> {
    const { db, store } = this.#parts;
    if (applied === null) return this.#link(definitions, null);
    const isKeying = state.phase === 'keying';
    const work = await store.work(db, this.#least(MAX_KEYED));
    if (work.length > 0 && (!isKeying || this.#wasPage)) {
      this.#wasPage = false;
      return this.#key(definitions, applied, { ids: work });
    }
    if (isKeying) {
      this.#wasPage = true;
      return this.#key(definitions, applied, { state });
    }
    if (this.#stepsSinceLinking < STEPS_PER_LINKING) {
      const unscored = await store.unscored(db, this.#least(MAX_SCORED));
      if (unscored.length > 0) return this.#score(definitions, applied, unscored);
      if (state.phase === 'scoring') return this.#finish(definitions, applied);
    }
    return this.#link(definitions, applied);
  }

  /** Fewer after each failure, down to one. */
  #least(most: number): number {
    return Math.max(1, most >> (2 * this.#failures));
  }

  /** Puts the records of some identifiers, or of the next page of components, in their blocks. */
  async #key(
    definitions: LoadedDefinitions,
    applied: AppliedModel,
    of: { readonly ids: readonly Uuid[] } | { readonly state: MatchingState },
  ): Promise<boolean> {
    const { db, store, revision, unmatched } = this.#parts;
    this.#stepsSinceLinking++;
    await db.transaction(async (tx) => {
      await this.#lease(tx, definitions);
      const ids = 'ids' in of ? of.ids : await this.#nextPage(tx, of.state);
      const known = await store.membersAround(tx, ids);
      const all = [...new Set([...ids, ...known.map(({ identifierId }) => identifierId)])];
      const apart = await unmatched.among(tx, all);
      const apartIds = new Set(apart.map(({ id }) => id));
      const around = all.filter((id) => !apartIds.has(id));
      await revision.lock(tx, around, [...apartIds]);
      const removed = new Set(await this.#unmatch(tx, apart));
      const done = ids.filter((id) => !apartIds.has(id) || removed.has(id));
      const forced = new Set('ids' in of ? await store.take(tx, done) : []);
      await this.#rekey(tx, { ...applied, rules: definitions.identityRules }, around, forced);
    });
    return true;
  }

  /** Takes away what is kept of identifiers whose components are contested; those of whom all is gone. */
  async #unmatch(tx: Transaction, before: readonly UnmatchedIdentifier[]): Promise<Uuid[]> {
    if (before.length === 0) return [];
    const { unmatched } = this.#parts;
    // With them locked nobody else can end that they are contested, which may have been ended before.
    const now = await unmatched.among(
      tx,
      before.map(({ id }) => id),
    );
    if (now.length < before.length) {
      throw new WeftError('UNAVAILABLE', 'identities were resolved by another worker meanwhile', { retryAfterMs: 0 });
    }
    return unmatched.remove(tx, now);
  }

  async #nextPage(tx: Transaction, { place, componentsDone, componentsTotal }: MatchingState): Promise<Uuid[]> {
    const limit = this.#least(MAX_KEYED);
    const ids = await componentsAfter(tx, place, limit);
    await this.#parts.models.advance(tx, {
      phase: ids.length < limit ? 'scoring' : 'keying',
      place: ids.at(-1) ?? place,
      componentsDone: componentsDone + ids.length,
      componentsTotal: componentsTotal ?? (await estimateComponents(tx)),
    });
    return ids;
  }

  async #rekey(tx: Transaction, by: ComparedBy, ids: readonly Uuid[], forced: ReadonlySet<Uuid>): Promise<void> {
    const { store, records } = this.#parts;
    const { identifierIds, found } = await records.around(tx, ids, by);
    const standing = [...new Set((await store.membersAround(tx, identifierIds)).map(({ recordId }) => recordId))];
    const valuesOf = new Map(
      (await store.records(tx, [...standing, ...found.keys()])).map(({ id, values }) => [id, values]),
    );
    const changed = [...found.values()].filter(({ record }) => valuesOf.get(record.id) !== textOf(record));
    const keys = blockingKeysOf(
      by.model,
      changed.map(({ record }) => record),
    );
    await store.remove(
      tx,
      standing.filter((id) => !found.has(id)),
    );
    await store.save(
      tx,
      changed.map(({ record }) => ({ id: record.id, values: textOf(record), keys: keys.get(record.id) ?? [] })),
    );
    const members = [...found.values()].flatMap(({ record, identifiers }) =>
      identifiers.map(({ id }) => ({ identifierId: id, recordId: record.id })),
    );
    await store.saveMembers(tx, identifierIds, members);
    const again = members.filter(({ identifierId }) => forced.has(identifierId)).map(({ recordId }) => recordId);
    await store.unscore(tx, [...new Set(again)]);
  }

  /** Compares records with all others of their blocks. */
  async #score(definitions: LoadedDefinitions, applied: AppliedModel, ids: readonly Uuid[]): Promise<boolean> {
    const { db, store, reviews, clock } = this.#parts;
    const { model, link, review } = applied;
    this.#stepsSinceLinking++;
    await db.transaction(async (tx) => {
      await this.#lease(tx, definitions);
      const candidates = await store.candidates(tx, ids, MAX_CANDIDATES);
      const chosen = [...candidates.keys()];
      const all = new Set(chosen);
      const pairs = new Map<string, readonly [Uuid, Uuid]>();
      for (const [id, others] of candidates) {
        for (const other of others) {
          all.add(other);
          const [a, b] = id < other ? [id, other] : [other, id];
          pairs.set(pairKey({ a, b }), [a, b]);
        }
      }
      const records = (await store.records(tx, [...all])).map(recordOf);
      const scored = scoreCandidates(model, records, pairs.values(), review);
      const before = new Map((await store.pairsOf(tx, chosen)).map((pair) => [pairKey(pair), pair]));
      const after = new Map(scored.map((pair) => [pairKey(pair), pair]));
      const gone = [...before].flatMap(([key, pair]) => (after.has(key) ? [] : [pair]));
      const changed = scored.filter((pair) => before.get(pairKey(pair))?.weight !== pair.weight);
      const isLinked = (weight: number | undefined): boolean => weight !== undefined && weight >= link;
      await store.lookAt(tx, [
        ...gone.filter(({ weight }) => isLinked(weight)),
        ...changed.filter((pair) => isLinked(before.get(pairKey(pair))?.weight) !== isLinked(pair.weight)),
      ]);
      await store.savePairs(tx, chosen, changed, gone);
      const between = scored.filter(({ weight }) => !isLinked(weight));
      const barred = new Set((await store.barred(tx, between)).map(pairKey));
      const open = between.filter((pair) => !barred.has(pairKey(pair)));
      await reviews.follow(tx, chosen, open, { version: model.version, nowMs: clock.now(), newId });
    });
    return true;
  }

  /** Everybody was compared: links that other models made are looked at. */
  async #finish(definitions: LoadedDefinitions, { model }: AppliedModel): Promise<boolean> {
    const { db, models, clock } = this.#parts;
    await db.transaction(async (tx) => {
      await this.#lease(tx, definitions);
      await models.lookAtLinks(tx, model.version);
      await models.finish(tx, clock.now());
    });
    return true;
  }

  /** Makes and takes back links. */
  async #link(definitions: LoadedDefinitions, applied: AppliedModel | null): Promise<boolean> {
    const { db, clock, store, links, pipeline, revisions } = this.#parts;
    this.#stepsSinceLinking = 0;
    const pairs = await this.#notErased(db, await store.linkWork(db, this.#least(MAX_LINKED)));
    if (pairs.length === 0) return false;
    const look = await links.change(db, pairs, applied, clock.now());
    if (look.added.length + look.removed.length === 0) {
      await db.transaction(async (tx) => {
        await this.#lease(tx, definitions);
        await links.keep(tx, look.kept);
        await store.lookedAt(tx, pairs);
      });
      return true;
    }
    // The transaction that activated the model has told everybody to look for links; a batch without them must not follow.
    if (!definitions.hasIdentityLinks) throw new DefinitionsChanged();
    const revisionId = newId(clock.now());
    const version = applied?.model.version ?? null;
    const actor = version === null ? 'no model' : `model ${version.slice(0, 12)}`;
    const reason = version === null ? 'no model of record linkage is active' : '';
    pipeline.forget();
    await pipeline.revise(definitions, {
      revisionId,
      linked: [...look.added, ...look.removed].flatMap(({ a, b }) => [a.id, b.id]),
      decide: async (tx, { acceptedAt: at }) => {
        const { kept, ...change } = await links.change(tx, pairs, applied, at);
        await links.keep(tx, kept);
        const ids = [...new Set([...change.added, ...change.removed].flatMap(({ a, b }) => [a.id, b.id]))];
        return { ids, links: change, decision: { revisionId, actor, reason, at } };
      },
      note: async (tx, found) => {
        // With all profiles locked: who asked for an erasure meanwhile has the person as they were.
        if ((await this.#notErased(tx, pairs)).length < pairs.length) {
          throw new WeftError('UNAVAILABLE', 'somebody who was to be linked is to be erased', { retryAfterMs: 0 });
        }
        const revision = { kind: 'model', input: { version } } as const;
        await revisions.insertDone(
          tx,
          { ...revision, id: revisionId, actor, reason, createdAt: clock.now() },
          resultOf(found),
        );
        await store.lookedAt(tx, pairs);
      },
    });
    pipeline.forget();
    return true;
  }

  /** Those of which neither is known by anything that an erasure is of. The others are looked at once it is done. */
  async #notErased(db: Queryable, pairs: readonly RecordPairIds[]): Promise<readonly RecordPairIds[]> {
    const { store, erasures } = this.#parts;
    if (pairs.length === 0) return pairs;
    const ends = pairs.flatMap(({ a, b }) => [a, b]);
    const members = await store.membersAround(db, ends);
    const erased = await erasures.among(db, [...ends, ...members.map(({ identifierId }) => identifierId)]);
    if (erased.size === 0) return pairs;
    const records = new Set(members.flatMap((each) => (erased.has(each.identifierId) ? [each.recordId] : [])));
    return pairs.filter(({ a, b }) => [a, b].every((id) => !erased.has(id) && !records.has(id)));
  }

  /** As of the definitions in force: a step with a model that is active no more changes nothing. */
  async #appliedBy({ matching }: LoadedDefinitions): Promise<AppliedModel | null> {
    if (matching === null) return null;
    if (this.#applied?.version !== matching.version || this.#applied.activatedAt !== matching.activatedAt) {
      const model = await new LinkageModelReader(this.#parts.db, this.#parts.terms).applied(matching.version);
      if (model === null) throw new DefinitionsChanged();
      this.#applied = { version: matching.version, activatedAt: matching.activatedAt, model };
    }
    return this.#applied.model;
  }

  async #lease(tx: Transaction, definitions: LoadedDefinitions): Promise<void> {
    if ((await this.#parts.leases.advance(tx, null)) !== definitions.version) throw new DefinitionsChanged();
  }
}

function textOf({ values }: LinkageRecord): string {
  return JSON.stringify(values);
}

function recordOf({ id, values }: { readonly id: Uuid; readonly values: string }): LinkageRecord {
  return { id, values: JSON.parse(values) as LinkageRecord['values'] };
}
