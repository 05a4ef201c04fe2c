import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { lockDefinitions, touchDefinitions } from '../platform/installation.js';
import type { Database } from '../platform/postgres.js';
import { diffIdentityRules } from './diff-identity-rules.js';
import { IDENTITY_RULE_LIMITS, type IdentityRuleSet } from './identity-rules.model.js';
import { IdentityRulesReader, type IdentityRulesVersion } from './identity-rules.reader.js';
import { IdentityRulesStore } from './identity-rules.store.js';

export interface ApplyRulesOptions {
  /** Who does it, for people. */
  readonly by: string;
  /** Says what would change, and changes nothing. */
  readonly isDryRun: boolean;
}

/** Rules that were applied, or would be. */
export interface IdentityRulesChange {
  /** What they change, in lines for people; empty: nothing. */
  readonly changes: readonly string[];
  /** In force: before a dry run, or after the change. */
  readonly current: IdentityRulesVersion;
  readonly applied: boolean;
}

export interface IdentityRulesServiceOptions {
  readonly db: Database;
  readonly clock: Clock;
  /** Called once rules were applied, so that they are in force here at once. */
  readonly onApplied: () => Promise<void>;
}

const MAX_NAME_LENGTH = 200;

/** Applies rules of who is who. Each change is a version. */
export class IdentityRulesService {
  readonly #options: IdentityRulesServiceOptions;
  readonly #store = new IdentityRulesStore();

  constructor(options: IdentityRulesServiceOptions) {
    this.#options = options;
  }

  /**
   * Puts rules in force, for what is accepted from now on; what is in force already is left alone.
   * @throws WeftError CONFLICT (the versions have run out)
   */
  async apply(rules: IdentityRuleSet, { by, isDryRun }: ApplyRulesOptions): Promise<IdentityRulesChange> {
    const { db, clock, onApplied } = this.#options;
    if (isDryRun) {
      const current = await new IdentityRulesReader(db).current();
      return { changes: diffIdentityRules(current.rules, rules), current, applied: false };
    }
    const change = await db.transaction(async (tx): Promise<IdentityRulesChange> => {
      await lockDefinitions(tx);
      const current = await new IdentityRulesReader(tx).current();
      const changes = diffIdentityRules(current.rules, rules);
      if (changes.length === 0) return { changes, current, applied: false };
      const version = current.rules.version + 1;
      if (version > IDENTITY_RULE_LIMITS.maxVersion) throw noVersionLeft();
      const applied = { by: by.slice(0, MAX_NAME_LENGTH).replaceAll('\0', ''), nowMs: clock.now() };
      await this.#store.insert(tx, version, rules, applied);
      await touchDefinitions(tx);
      return { changes, current: await new IdentityRulesReader(tx).current(), applied: true };
    });
    if (change.applied) await onApplied();
    return change;
  }
}

function noVersionLeft(): WeftError {
  return new WeftError(
    'CONFLICT',
    `there are ${String(IDENTITY_RULE_LIMITS.maxVersion)} versions of the rules already`,
    {
      hint: 'the log can tell no more of them apart',
    },
  );
}
