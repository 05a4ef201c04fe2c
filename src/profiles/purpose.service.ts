import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { lockDefinitions, touchDefinitions } from '../platform/installation.js';
import type { Database, Transaction } from '../platform/postgres.js';
import { consentTrait } from './consent.model.js';
import { findsMore, planPurposes, PURPOSE_LIMITS, type PurposeDefinition, type PurposePlan } from './purpose.model.js';
import { PurposeReader } from './purpose.reader.js';
import { PurposeStore } from './purpose.store.js';
import { TraitDefinitionStore } from './trait-definition.store.js';

export interface PurposeApplyOptions {
  /** Says what would be done, and does nothing. */
  readonly dryRun?: boolean;
  /** Also removes the purposes that are not among those given. */
  readonly prune?: boolean;
}

/** What other modules have to say about a change, within its transaction. */
export interface PurposeHooks {
  /** Keys of the purposes that something needs, each with what that is. */
  uses(tx: Transaction): Promise<ReadonlyMap<string, string>>;
}

/** The purposes that data of people may be used for, as files declare them. */
export class PurposeService {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #hooks: PurposeHooks;
  readonly #store = new PurposeStore();
  readonly #rules = new TraitDefinitionStore();

  constructor(db: Database, clock: Clock, hooks: PurposeHooks) {
    this.#db = db;
    this.#clock = clock;
    this.#hooks = hooks;
  }

  /**
   * Consents that events brought before a purpose, or a category of it, was declared count from then on: anchors are
   * folded anew, some at a time.
   * @throws WeftError DEFINITION_INVALID for more purposes than there may be, and for one that is removed while needed
   */
  async apply(given: readonly PurposeDefinition[], options: PurposeApplyOptions = {}): Promise<PurposePlan> {
    return this.#db.transaction(async (tx) => {
      await lockDefinitions(tx);
      const standing = await new PurposeReader(tx).all();
      const plan = planPurposes(standing, given, options.prune === true);
      checkCount(standing.length + plan.added.length - plan.removed.length);
      if (options.dryRun === true || plan.added.length + plan.changed.length + plan.removed.length === 0) return plan;
      await this.#checkUses(tx, plan.removed);
      const written = new Set([...plan.added, ...plan.changed]);
      const nowMs = this.#clock.now();
      for (const purpose of given) if (written.has(purpose.key)) await this.#store.save(tx, purpose, nowMs);
      await this.#store.remove(tx, plan.removed);
      await this.#noteChanges(tx, standing, plan.removed, nowMs);
      await touchDefinitions(tx);
      return plan;
    });
  }

  async #checkUses(tx: Transaction, removed: readonly string[]): Promise<void> {
    const uses = removed.length === 0 ? new Map<string, string>() : await this.#hooks.uses(tx);
    for (const key of removed) {
      const user = uses.get(key);
      if (user === undefined) continue;
      throw new WeftError('DEFINITION_INVALID', `the purpose ${key} is needed by ${user}`, {
        where: key,
        hint: `keep it in the files, or change the ${user} first`,
      });
    }
  }

  async #noteChanges(
    tx: Transaction,
    standing: readonly PurposeDefinition[],
    removed: readonly string[],
    nowMs: number,
  ): Promise<void> {
    const isTraced = !findsMore(standing, await new PurposeReader(tx).all());
    if (isTraced && removed.length === 0) return;
    const names = removed.map(consentTrait);
    await this.#rules.noteRuleChange(tx, isTraced ? names.map((name) => ({ name, isTraced })) : UNTRACED, nowMs);
  }
}

/** Anchors that hold no word yet may be concerned too. */
const UNTRACED = [{ name: '$consent', isTraced: false }];

function checkCount(count: number): void {
  if (count <= PURPOSE_LIMITS.maxPurposes) return;
  throw new WeftError('DEFINITION_INVALID', `there would be ${String(count)} purposes`, {
    where: 'purposes',
    hint: `at most ${String(PURPOSE_LIMITS.maxPurposes)} can be: a purpose is why data is used, not by what`,
  });
}
