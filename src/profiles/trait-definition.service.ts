import { isReservedTrait } from '../events/event.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { lockDefinitions, touchDefinitions, touchMarks } from '../platform/installation.js';
import type { Database } from '../platform/postgres.js';
import {
  changedRules,
  isSearchable,
  planTraits,
  ruleOf,
  TRAIT_LIMITS,
  type TraitDefinition,
  type TraitPlan,
} from './trait-definition.model.js';
import { TraitDefinitionReader } from './trait-definition.reader.js';
import type { TraitRule } from './trait-rule.model.js';
import { ProfileSearchStore } from './profile-search.store.js';
import { MAX_SEARCHABLE_TRAITS } from './search-field.model.js';
import { TraitDefinitionStore } from './trait-definition.store.js';

export interface TraitApplyOptions {
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean;
  /** Also removes the definitions that are not among those given. */
  readonly prune?: boolean;
}

/** What is said of a trait beside its rule; what is left out stays. */
export type TraitMarks = Pick<TraitDefinition, 'pii' | 'searchable'>;

/** Definitions of traits, as files declare them. */
export class TraitDefinitionService {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #store = new TraitDefinitionStore();
  readonly #search = new ProfileSearchStore();

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** @throws WeftError DEFINITION_INVALID for more definitions than there may be */
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
      if (options.dryRun === true || plan.added.length + plan.changed.length + plan.removed.length === 0) return plan;
      const written = new Set([...plan.added, ...plan.changed]);
      const nowMs = this.#clock.now();
      for (const trait of given) if (written.has(trait.name)) await this.#store.save(tx, trait, nowMs);
      await this.#store.remove(tx, plan.removed);
      const after = await new TraitDefinitionReader(tx).all();
      const searchChanged = await this.#search.declare(tx, searchedNames(after), nowMs);
      const changes = changedRules(standing, after);
      if (changes.length > 0) await this.#store.noteRuleChange(tx, changes, nowMs);
      await (changes.length > 0 || searchChanged ? touchDefinitions(tx) : touchMarks(tx));
      return plan;
    });
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
      if (!deleted.has(name) && deleted.size >= TRAIT_LIMITS.maxDeletions) {
        throw new WeftError('CONFLICT', `${String(deleted.size)} traits are deleted already`, {
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
function searchedNames(traits: readonly TraitDefinition[]): string[] {
  const names = traits.filter(isSearchable).map(({ name }) => name);
  if (names.length <= MAX_SEARCHABLE_TRAITS) return names;
  throw new WeftError('DEFINITION_INVALID', `${String(names.length)} traits would be searchable`, {
    where: 'traits',
    hint: `at most ${String(MAX_SEARCHABLE_TRAITS)} can be; the others are found by segments`,
  });
}
