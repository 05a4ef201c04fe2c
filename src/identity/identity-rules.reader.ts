import type { Queryable } from '../platform/postgres.js';
import { DEFAULT_IDENTITY_RULES, type IdentityRules } from './identity-rules.model.js';
import { rulesOfStored } from './stored-identity-rules.js';

/** Rules that were applied, who did it and when. */
export interface IdentityRulesVersion {
  readonly rules: IdentityRules;
  /** ms; null for the built-in ones, which nobody applied. */
  readonly appliedAt: number | null;
  /** For people; null for the built-in ones. */
  readonly appliedBy: string | null;
}

interface Row {
  readonly version: number;
  readonly rules: string;
  readonly appliedAt: number;
  readonly appliedBy: string;
}

const COLUMNS = `version, rules, applied_at AS "appliedAt", applied_by AS "appliedBy"`;

const BUILT_IN: IdentityRulesVersion = { rules: DEFAULT_IDENTITY_RULES, appliedAt: null, appliedBy: null };

/** Reads the rules of who is who; bound to a pool or to a transaction. */
export class IdentityRulesReader {
  constructor(private readonly db: Queryable) {}

  /** Those in force: the newest; the built-in ones, version 1, where nobody ever applied any. */
  async current(): Promise<IdentityRulesVersion> {
    const [newest = BUILT_IN] = await this.versions(null, 1);
    return newest;
  }

  /** Null: there is none. */
  async version(version: number): Promise<IdentityRulesVersion | null> {
    const [found] = await this.versions(version + 1, 1);
    return found?.rules.version === version ? found : null;
  }

  /**
   * The newest first, the built-in ones last.
   * @param before only versions before this one; null: all
   */
  async versions(before: number | null, limit: number): Promise<readonly IdentityRulesVersion[]> {
    const rows = await this.db.query<Row>(
      `SELECT ${COLUMNS} FROM identity_rules WHERE version < coalesce($1::int4, ${String(2 ** 31 - 1)})
       ORDER BY version DESC LIMIT $2::int4`,
      [before, limit],
    );
    const found = rows.map(({ version, rules, ...applied }): IdentityRulesVersion => ({
      rules: rulesOfStored(version, rules),
      ...applied,
    }));
    const isBuiltInAsked = before === null || before > BUILT_IN.rules.version;
    return found.length < limit && isBuiltInAsked ? [...found, BUILT_IN] : found;
  }
}
