import { WeftError } from '../platform/errors.js';
import type { Queryable } from '../platform/postgres.js';
import { GenericValueReader } from './generic-value.reader.js';
import { DEFAULT_IDENTITY_RULES, normalFormKey, type IdentityRules } from './identity-rules.model.js';
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

export interface RulesInForce {
  readonly rules: IdentityRules;
  readonly former: readonly IdentityRules[];
}

/** Versions that are looked at for other normal forms, and how many such are known. */
const MAX_FORMER_VERSIONS = 200;
const MAX_FORMER_RULES = 10;

const COLUMNS = `version, rules, applied_at AS "appliedAt", applied_by AS "appliedBy"`;

const BUILT_IN: IdentityRulesVersion = { rules: DEFAULT_IDENTITY_RULES, appliedAt: null, appliedBy: null };

/** Reads the rules of who is who; bound to a pool or to a transaction. */
export class IdentityRulesReader {
  constructor(private readonly db: Queryable) {}

  /** Those in force: the newest; the built-in ones, version 1, where nobody ever applied any. */
  async current(): Promise<IdentityRulesVersion> {
    const [newest = BUILT_IN] = await this.versions(null, 1);
    const generics = await new GenericValueReader(this.db).inForce();
    return { ...newest, rules: { ...newest.rules, generics } };
  }

  /** Those in force, and of those before them the ones by which values had other normal forms, the newest first. */
  async inForce(): Promise<RulesInForce> {
    const versions = await this.versions(null, MAX_FORMER_VERSIONS);
    const [{ rules } = BUILT_IN, ...before] = versions;
    const former = new Map<string, IdentityRules>();
    for (const each of [...before, BUILT_IN]) {
      const key = normalFormKey(each.rules);
      if (!former.has(key) && former.size < MAX_FORMER_RULES) former.set(key, each.rules);
    }
    former.delete(normalFormKey(rules));
    const generics = await new GenericValueReader(this.db).inForce();
    return { rules: { ...rules, generics }, former: [...former.values()] };
  }

  /** Null: there is none. */
  async version(version: number): Promise<IdentityRulesVersion | null> {
    const [found] = await this.versions(version + 1, 1);
    return found?.rules.version === version ? found : null;
  }

  /** @throws WeftError NOT_FOUND */
  async demanded(version: number): Promise<IdentityRulesVersion> {
    const found = await this.version(version);
    if (found !== null) return found;
    throw new WeftError('NOT_FOUND', `the rules have no version ${String(version)}`, {
      where: 'version',
      hint: 'weft identity rules history and identityRulesVersions show those that there are',
    });
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
