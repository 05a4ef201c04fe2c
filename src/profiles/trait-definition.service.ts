import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { lockDefinitions, touchDefinitions, touchMarks } from '../platform/installation.js';
import type { Database } from '../platform/postgres.js';
import {
  changedRules,
  planTraits,
  TRAIT_LIMITS,
  type TraitDefinition,
  type TraitPlan,
} from './trait-definition.model.js';
import { TraitDefinitionReader } from './trait-definition.reader.js';
import { TraitDefinitionStore } from './trait-definition.store.js';

export interface TraitApplyOptions {
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean;
  /** Also removes the definitions that are not among those given. */
  readonly prune?: boolean;
}

/** Definitions of traits, as files declare them. */
export class TraitDefinitionService {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #store = new TraitDefinitionStore();

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
      const changes = changedRules(standing, await new TraitDefinitionReader(tx).all());
      if (changes.length === 0) await touchMarks(tx);
      else {
        await this.#store.noteRuleChange(tx, changes, nowMs);
        await touchDefinitions(tx);
      }
      return plan;
    });
  }
}
