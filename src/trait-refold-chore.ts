import type { EventSealer } from './events/event-seal.model.js';
import type { LoadedDefinitions } from './definitions.js';
import { DamagedRows, type PassedOverObserver } from './events/damaged-rows.model.js';
import { EventHistoryReader } from './events/event-history.reader.js';
import type { PartitionLeases } from './events/partition-lease.store.js';
import type { Pipeline } from './pipeline.js';
import type { RefoldedTraits } from './pipeline-work.js';
import type { Clock } from './platform/clock.js';
import type { Uuid } from './platform/ids.js';
import type { Database } from './platform/postgres.js';
import { decodeTraits, encodeTraits } from './profiles/trait-codec.js';
import type { StaleStretch, StoredTraits, TraitRefoldStore } from './profiles/trait-refold.store.js';
import { foldGiven } from './profiles/groups.model.js';
import { OutlivedTraits } from './profiles/outlived-traits.js';
import { readRemovedWords } from './profiles/removed-word.reader.js';
import type { Traits } from './profiles/trait.model.js';
import type { TraitRules } from './profiles/trait-rule.model.js';
import type { TraitSealer } from './profiles/trait-seal.model.js';
import { foldTraits, resealTraits } from './profiles/traits.model.js';

export interface TraitRefoldChoreParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly leases: PartitionLeases;
  readonly refolds: TraitRefoldStore;
  readonly pipeline: Pipeline;
  readonly sealer: EventSealer;
  readonly observer: PassedOverObserver;
  /** Anchors that one step folds anew, at most. */
  readonly maxStepAnchors?: number;
}

/** Anchors looked at in one step, most of which may not have the traits concerned. */
const MAX_STEP_PAGE = 2_000;
const MAX_STEP_ANCHORS = 200;
/** For reading all of a single anchor, however long its history is. */
const READ_TIMEOUT_MS = 10 * 60_000;

/**
 * Folds traits anew where the rules by which their values are taken in changed.
 *
 * 1. From the version of the definitions with the new rules on, every event is taken in by them. An anchor that is not
 *    folded anew yet makes the best of what it holds; then it is what its events give by the new rules, with what came of
 *    events that a retention removed (`outlived-traits.ts`). Traits of which no rule changed stay as they are.
 * 2. A step is some anchors of this worker's partitions. Their events are read before the transaction: nobody else
 *    applies events of these partitions while the leases stand, and the transaction checks that they do, and that no
 *    other worker moved events from or to anchors of theirs meanwhile; else the step is read again. Its place in
 *    acceptance order is that of `next-place.ts`.
 * 3. Where a trait began or ceased to be sealed, its values are given the other form, of anchors as they stand.
 * 4. Each step notes how far it went in its transaction: a process that dies leaves whole steps behind.
 */
export class TraitRefoldChore {
  readonly #parts: TraitRefoldChoreParts;
  /** For which rules and partitions nothing is left to do. */
  #settled = '';

  constructor(parts: TraitRefoldChoreParts) {
    this.#parts = parts;
  }

  /**
   * One step; false if there is nothing to do here.
   * @throws DefinitionsChanged, LeaseLost, EventsMoved; WeftError where the failure may pass
   */
  async runOne(definitions: LoadedDefinitions): Promise<boolean> {
    const { db, clock, leases, refolds, pipeline, maxStepAnchors = MAX_STEP_ANCHORS } = this.#parts;
    const { traitRulesVersion: version } = definitions;
    if (version === 0) return false;
    const key = `${String(version)} ${leases.held.map((l) => `${String(l.part)}@${String(l.epoch)}`).join()}`;
    if (key === this.#settled) return false;
    const parts = leases.held.map((lease) => lease.part);
    const moves = await leases.moves(db);
    const stretch = await refolds.next(db, parts, version);
    if (stretch === null) {
      this.#settled = key;
      return false;
    }
    const page = await refolds.anchors(db, stretch, MAX_STEP_PAGE);
    const concerned = page.filter((anchor) => isConcerned(anchor, stretch));
    const chosen = concerned.slice(0, maxStepAnchors);
    const afterId = chosen.length < concerned.length ? chosen.at(-1)?.id : page.at(-1)?.id;
    pipeline.forget();
    const { traits, given } = await this.#foldAnew(definitions, chosen, stretch);
    await pipeline.refoldTraits(definitions, {
      traits,
      given,
      moves,
      note: async (tx) => {
        if (traits.size > 0) await refolds.count(tx, version, traits.size);
        if (afterId === undefined) await refolds.finish(tx, stretch.parts, version, clock.now());
        else await refolds.advance(tx, stretch.parts, version, afterId);
      },
      owners: (tx, anchorIds) => refolds.owners(tx, anchorIds),
    });
    pipeline.forget();
    return true;
  }

  /** The traits of those anchors that have others now. */
  async #foldAnew(
    { traitRules, traitSealer }: LoadedDefinitions,
    anchors: readonly StoredTraits[],
    { names, resealed }: StaleStretch,
  ): Promise<Pick<RefoldedTraits, 'traits' | 'given'>> {
    const { db, leases } = this.#parts;
    if (anchors.length === 0) return { traits: new Map(), given: [] };
    // What is only sealed or opened is not read from the log, which may not have it any more.
    if (names?.length === 0) return { traits: resealedTraits(anchors, resealed, traitRules, traitSealer), given: [] };
    const appliedPos = new Map(leases.held.map((lease) => [lease.part, lease.appliedPos]));
    const folded = new Map<Uuid, Traits>(anchors.map(({ id }) => [id, new Map()]));
    const outlived = new Map(anchors.map(({ id, traits }) => [id, new OutlivedTraits(decodeTraits(traits))]));
    const given = new Map<Uuid, Map<string, Traits>>(anchors.map(({ id }) => [id, new Map()]));
    const givenOf = (id: Uuid): Map<string, Traits> => given.get(id) ?? new Map<string, Traits>();
    const groups = anchors.map(({ id }) => ({ anchorIds: [id], untilMs: Number.MAX_SAFE_INTEGER }));
    const toPos = Math.max(...appliedPos.values());
    // A row that is damaged has no effect: neither here nor when it was applied.
    const damaged = new DamagedRows();
    const options = { toPos, order: 'accepted', onDamaged: damaged.note } as const;
    await db.transaction(
      async (tx) => {
        for await (const page of new EventHistoryReader(this.#parts.sealer).read(tx, groups, options)) {
          for (const { event } of page) {
            const id = event.identifiers[0]?.id ?? '';
            const traits = folded.get(id);
            const isApplied = event.pos <= (appliedPos.get(event.part) ?? 0);
            if (!isApplied || traits === undefined) continue;
            outlived.get(id)?.note(event);
            foldTraits(traits, event, traitRules);
            foldGiven(givenOf(id), event);
          }
        }
      },
      { readOnly: true, timeoutMs: READ_TIMEOUT_MS },
    );
    if (damaged.count > 0) await this.#parts.observer.rowsPassedOver('trait_refolds', damaged);
    for (const word of await readRemovedWords(db, [...outlived.keys()])) outlived.get(word.anchorId)?.hear(word);
    for (const { id, traits } of anchors) {
      const anew = folded.get(id);
      if (anew === undefined) continue;
      outlived.get(id)?.keepIn(anew, names, traitRules, { names: resealed, sealFor: traitSealer.for });
      resealTraits(anew, resealed, traitRules, traitSealer.for);
      if (encodeTraits(anew).equals(traits)) folded.delete(id);
    }
    // What is known of groups comes of no rule: it is folded anew only where there was nothing of them yet.
    const changed = anchors.filter(({ id }) => folded.has(id) && outlived.get(id)?.hasGroups !== true);
    return {
      traits: folded,
      given: changed.map(({ id, part }) => ({ anchorId: id, part, given: givenOf(id) })),
    };
  }
}

/** The traits of those anchors that have them in another form now. */
function resealedTraits(
  anchors: readonly StoredTraits[],
  names: readonly string[],
  rules: TraitRules,
  sealer: TraitSealer,
): Map<Uuid, Traits> {
  const resealed = new Map<Uuid, Traits>();
  for (const { id, traits } of anchors) {
    const formed = decodeTraits(traits);
    resealTraits(formed, names, rules, sealer.for);
    if (!encodeTraits(formed).equals(traits)) resealed.set(id, formed);
  }
  return resealed;
}

function isConcerned({ traits }: StoredTraits, { names, resealed }: StaleStretch): boolean {
  if (names === null) return true;
  if (traits.length === 0) return false;
  const held = decodeTraits(traits);
  return names.some((name) => held.has(name)) || resealed.some((name) => held.has(name));
}
