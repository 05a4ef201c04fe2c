import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { lockDefinitions, touchDefinitions } from '../platform/installation.js';
import type { Uuid } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';
import type { Warning } from '../platform/warning.js';
import { diffIdentityRules } from './diff-identity-rules.js';
import type { IdentityRevisionRecord } from './identity-revision.model.js';
import type { Asker, IdentityRevisionService } from './identity-revision.service.js';
import { IDENTITY_RULE_LIMITS, type IdentityRuleSet } from './identity-rules.model.js';
import { IdentityRulesReader, type IdentityRulesVersion } from './identity-rules.reader.js';
import { IdentityRulesStore } from './identity-rules.store.js';
import { reachOfRules, warningOfBlocked } from './rules-reach.model.js';

export interface ApplyRulesOptions {
  /** Who does it, for people. */
  readonly by: string;
  /** Says what would change, and changes nothing. */
  readonly isDryRun: boolean;
  /** Why those whom the change reaches are to be resolved anew, and who asks for it; default: nobody does. */
  readonly reresolve?: Asker | undefined;
}

/** Rules that were applied, or would be. */
export interface IdentityRulesChange {
  /** What they change, in lines for people; empty: nothing. */
  readonly changes: readonly string[];
  /** Which of it concerns those who are there, as `email (limit)`; empty: it holds for what comes alone. */
  readonly causes: readonly string[];
  /** What the change does not do and might be taken to; empty: nothing. */
  readonly warnings: readonly Warning[];
  /** In force: before a dry run, or after the change. */
  readonly current: IdentityRulesVersion;
  readonly applied: boolean;
  /** Of the revision that resolves those anew whom it reaches; null: nobody asked for that, or it reaches nobody. */
  readonly revisionId: Uuid | null;
}

export interface IdentityRulesServiceOptions {
  readonly db: Database;
  readonly clock: Clock;
  /** Called once rules were applied, so that they are in force here at once. */
  readonly onApplied: () => Promise<void>;
  readonly revisions: Pick<IdentityRevisionService, 'requestFor' | 'openOfRules' | 'watched'>;
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
   * @throws WeftError CONFLICT (the versions have run out), BAD_REQUEST, OVERLOADED
   */
  async apply(rules: IdentityRuleSet, { by, isDryRun, reresolve }: ApplyRulesOptions): Promise<IdentityRulesChange> {
    const { db, clock, onApplied, revisions } = this.#options;
    if (isDryRun) return unapplied(await new IdentityRulesReader(db).current(), rules, reresolve !== undefined);
    const change = await db.transaction(async (tx): Promise<IdentityRulesChange> => {
      await lockDefinitions(tx);
      const current = await new IdentityRulesReader(tx).current();
      const planned = unapplied(current, rules, reresolve !== undefined);
      if (planned.changes.length === 0) return planned;
      const version = current.rules.version + 1;
      if (version > IDENTITY_RULE_LIMITS.maxVersion) throw noVersionLeft();
      const applied = { by: by.slice(0, MAX_NAME_LENGTH).replaceAll('\0', ''), nowMs: clock.now() };
      await this.#store.insert(tx, version, rules, applied);
      await touchDefinitions(tx);
      const revisionId =
        reresolve === undefined || planned.causes.length === 0
          ? null
          : await revisions.requestFor(tx, current.rules.version, reresolve);
      return { ...planned, current: await new IdentityRulesReader(tx).current(), applied: true, revisionId };
    });
    if (change.applied) await onApplied();
    return change;
  }

  /**
   * Waits until those are resolved anew whom rules concern.
   * @param id of the revision; null: of the one that waits or runs
   * @returns as it is then; null: there is none
   */
  async reresolved(
    id: Uuid | null,
    onProgress: (revision: IdentityRevisionRecord) => void,
    signal: AbortSignal,
  ): Promise<IdentityRevisionRecord | null> {
    const { revisions } = this.#options;
    const asked = id ?? (await revisions.openOfRules())?.id;
    return asked === undefined ? null : revisions.watched(asked, onProgress, signal);
  }
}

function unapplied(current: IdentityRulesVersion, rules: IdentityRuleSet, isReresolving: boolean): IdentityRulesChange {
  const changes = diffIdentityRules(current.rules, rules);
  const { causes } = reachOfRules(current.rules, rules);
  const warnings = isReresolving ? [] : [warningOfBlocked(current.rules, rules) ?? []].flat();
  return { changes, causes, warnings, current, applied: false, revisionId: null };
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
