import { isReservedTrait } from '../events/event.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { lockDefinitions, touchDefinitions, touchMarks } from '../platform/installation.js';
import type { Database, Transaction } from '../platform/postgres.js';
import {
  changedRules,
  changedSeals,
  isSealed,
  isSearchable,
  planTraits,
  ruleOf,
  sealedProblem,
  TRAIT_LIMITS,
  type TraitDefinition,
  type TraitPlan,
} from './trait-definition.model.js';
import { TraitDefinitionReader } from './trait-definition.reader.js';
import type { TraitRule } from './trait-rule.model.js';
import { ProfileSearchStore, type DeclaredField } from './profile-search.store.js';
import { MAX_SEARCHABLE_TRAITS } from './search-field.model.js';
import { TraitDefinitionStore } from './trait-definition.store.js';
import type { TraitSealer } from './trait-seal.model.js';

export interface TraitApplyOptions {
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean;
  /** Also removes the definitions that are not among those given. */
  readonly prune?: boolean;
}

/** What is said of a trait beside its rule; what is left out stays. */
export type TraitMarks = Pick<TraitDefinition, 'pii' | 'searchable' | 'sealed'>;

/** What sealing traits rests on. */
export interface TraitSealing {
  /** Names of the traits whose values something reads in plain text, each with what does: `segment vip`. */
  uses(tx: Transaction): Promise<ReadonlyMap<string, string>>;
  readonly sealer: TraitSealer;
}

/** Definitions of traits, as files declare them. */
export class TraitDefinitionService {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #store = new TraitDefinitionStore();
  readonly #search = new ProfileSearchStore();

  readonly #sealing: TraitSealing | null;

  /** @param sealing null: no trait can be sealed */
  constructor(db: Database, clock: Clock, sealing: TraitSealing | null = null) {
    this.#db = db;
    this.#clock = clock;
    this.#sealing = sealing;
  }

  /**
   * @throws WeftError DEFINITION_INVALID for more definitions than there may be, and for a trait that cannot be sealed, or
   * not as long as something reads it; NOT_CONFIGURED for one that is to be where there is no secret
   */
  async apply(given: readonly TraitDefinition[], options: TraitApplyOptions = {}): Promise<TraitPlan> {
    return this.#db.transaction(async (tx) => {
      await lockDefinitions(tx);
      const standing = await new TraitDefinitionReader(tx).all();
      const plan = planTraits(standing, given, options.prune === true);
      const count = standing.length + plan.added.length - plan.removed.length;
      if (plan.added.length > 0 && count > TRAIT_LIMITS.maxDefinitions) {
        throw new WeftError('DEFINITION_INVALID', `there would be ${String(count)} definitions of traits`, {
          where: 'traits',
          hint: `at most ${String(TRAIT_LIMITS.maxDefinitions)} can be: only traits that browsers may see need one`,
        });
      }
      await this.#checkSealed(tx, standing, given);
      if (options.dryRun === true || plan.added.length + plan.changed.length + plan.removed.length === 0) return plan;
      const written = new Set([...plan.added, ...plan.changed]);
      const nowMs = this.#clock.now();
      for (const trait of given) if (written.has(trait.name)) await this.#store.save(tx, trait, nowMs);
      await this.#store.remove(tx, plan.removed);
      const after = await new TraitDefinitionReader(tx).all();
      const searchChanged = await this.#search.declare(tx, searchedFields(after), nowMs);
      const changes = changedRules(standing, after);
      const resealed = changedSeals(standing, after);
      const isOther = changes.length + resealed.length > 0;
      if (isOther) await this.#store.noteRuleChange(tx, changes, nowMs, resealed);
      await (isOther || searchChanged ? touchDefinitions(tx) : touchMarks(tx));
      return plan;
    });
  }

  async #checkSealed(
    tx: Transaction,
    standing: readonly TraitDefinition[],
    given: readonly TraitDefinition[],
  ): Promise<void> {
    for (const trait of given) {
      const problem = sealedProblem(trait);
      if (problem !== null) {
        throw new WeftError('DEFINITION_INVALID', problem.message, { where: trait.name, hint: problem.hint });
      }
    }
    const before = new Set(standing.filter(isSealed).map(({ name }) => name));
    const sealed = given.filter((trait) => isSealed(trait) && !before.has(trait.name));
    if (sealed.length === 0) return;
    if (this.#sealing === null) throw new Error('sealing was not wired');
    this.#sealing.sealer.demand();
    const uses = await this.#sealing.uses(tx);
    for (const { name } of sealed) {
      const user = uses.get(name);
      if (user === undefined) continue;
      throw new WeftError('DEFINITION_INVALID', `the trait ${name} cannot be sealed while ${user} reads it`, {
        where: name,
        hint: `archive, retire or change the ${user} first: it would have to keep in plain text what is to be sealed`,
      });
    }
  }

  /**
   * Deletes a trait everywhere: what was given for it until now counts no more. Anchors that have it lose it, some at a
   * time; the version of the rules tells how far that is.
   * @throws WeftError BAD_REQUEST (no name that a trait can have), CONFLICT (too many names are deleted)
   */
  async deleteEverywhere(name: string): Promise<void> {
    if (name === '' || name.length > TRAIT_LIMITS.maxNameLength || isReservedTrait(name)) {
      throw new WeftError('BAD_REQUEST', 'no trait can have that name', {
        where: 'name',
        hint: 'name a trait as events carry it; names that begin with $ are those of Weft itself',
      });
    }
    await this.#db.transaction(async (tx) => {
      await lockDefinitions(tx);
      const deleted = await new TraitDefinitionReader(tx).deletions();
      // Lists that were removed have a bound of their own.
      const count = [...deleted.keys()].filter((each) => !isReservedTrait(each)).length;
      if (!deleted.has(name) && count >= TRAIT_LIMITS.maxDeletions) {
        throw new WeftError('CONFLICT', `${String(count)} traits are deleted already`, {
          where: 'name',
          hint: 'have those who send the others stop sending them',
        });
      }
      const nowMs = this.#clock.now();
      await this.#store.delete(tx, name, nowMs);
      await this.#store.noteRuleChange(tx, [{ name, isTraced: true }], nowMs);
      await touchDefinitions(tx);
    });
  }

  /**
   * Sets the rule of one trait, and the marks that are given, and leaves all else of it as it is.
   * @throws WeftError DEFINITION_INVALID
   */
  async setRule(name: string, change: (rule: TraitRule) => TraitRule, marks: TraitMarks = {}): Promise<TraitPlan> {
    const standing = (await new TraitDefinitionReader(this.#db).all()).find((trait) => trait.name === name);
    const base = standing ?? { name, description: '', edge: false };
    if (base.edge && marks.pii === true) {
      throw new WeftError('CONFLICT', `the trait ${name} is for pages`, {
        where: 'pii',
        hint: 'define it with edge: false first: pages would show what is to be masked',
      });
    }
    return this.apply([{ ...base, ...marks, rule: change(ruleOf(base)) }]);
  }
}

/** @throws WeftError DEFINITION_INVALID */
function searchedFields(traits: readonly TraitDefinition[]): DeclaredField[] {
  const found = traits.filter((trait) => isSearchable(trait) || isSealed(trait));
  if (found.length <= MAX_SEARCHABLE_TRAITS)
    return found.map((trait) => ({ name: trait.name, sealed: isSealed(trait) }));
  throw new WeftError('DEFINITION_INVALID', `${String(found.length)} traits would be searchable or sealed`, {
    where: 'traits',
    hint: `at most ${String(MAX_SEARCHABLE_TRAITS)} can be; the others are found by segments`,
  });
}
