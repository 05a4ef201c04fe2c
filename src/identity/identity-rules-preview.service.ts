import { uuidArray } from '../platform/binary-arrays.js';
import type { Clock } from '../platform/clock.js';
import type { Uuid } from '../platform/ids.js';
import type { Database, Transaction } from '../platform/postgres.js';
import { componentPage, estimateComponents, sizesOf, type ComponentPage } from './component-page.reader.js';
import { diffIdentityRules } from './diff-identity-rules.js';
import type { IdentityRevisionStep } from './identity-revision.step.js';
import type { IdentityRules, IdentityRuleSet } from './identity-rules.model.js';
import { IdentityRulesReader } from './identity-rules.reader.js';
import { NO_OUTCOME, withPage, type IdentityRulesPreview, type RulesOutcome } from './rules-preview.model.js';
import { REACH_OF_ALL, reachOfRules, warningOfBlocked, type RulesReach } from './rules-reach.model.js';

export interface RulesPreviewOptions {
  /** Where to begin: the place that an earlier preview ended at; null: at the start. */
  readonly place: Uuid | null;
  /** Components that are worked through, at most. */
  readonly maxExamined: number;
  /** Components that are looked at for them, at most; default: all. */
  readonly maxLooked?: number;
  /** Told after each step of the way. */
  readonly onProgress?: (outcome: RulesOutcome, componentsTotal: number | null) => void;
  readonly signal?: AbortSignal;
}

interface RulesPreviewParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly identity: IdentityRevisionStep;
}

/** As many as the workers resolve in one step. */
const MAX_STEP_COMPONENTS = 200;

/**
 * Says what rules of who is who would do to those who are there: by what resolves them anew (`IdentityRevisionStep`),
 * each step from one snapshot, and without writing anything.
 */
export class IdentityRulesPreviews {
  constructor(private readonly parts: RulesPreviewParts) {}

  /** @param rules null: those in force, for everybody: what `reresolve` would do */
  async preview(rules: IdentityRuleSet | null, options: RulesPreviewOptions): Promise<IdentityRulesPreview> {
    const { db } = this.parts;
    const { place: first, maxExamined, maxLooked = Number.POSITIVE_INFINITY, onProgress, signal } = options;
    const { rules: standing } = await new IdentityRulesReader(db).current();
    const changes = rules === null ? [] : diffIdentityRules(standing, rules);
    const reach = rules === null ? REACH_OF_ALL : reachOfRules(standing, rules);
    const estimated = await estimateComponents(db);
    const warnings = rules === null ? [] : [warningOfBlocked(standing, rules) ?? []].flat();
    const told = { changes, causes: reach.causes, warnings };
    if (rules !== null && reach.causes.length === 0) {
      return { ...told, ...NO_OUTCOME, componentsTotal: 0, place: null };
    }
    const { version, generics } = standing;
    const asked = rules === null ? standing : { ...rules, version, ...(generics === undefined ? {} : { generics }) };
    let outcome: RulesOutcome = NO_OUTCOME;
    let place = first;
    let componentsTotal: number | null;
    do {
      signal?.throwIfAborted();
      const limit = Math.min(MAX_STEP_COMPONENTS, maxExamined - outcome.examined);
      const step = await this.#step(asked, reach, { place, limit, outcome });
      ({ outcome, place } = step);
      componentsTotal = totalOf(estimated, outcome.looked, first === null && place === null);
      onProgress?.(outcome, componentsTotal);
    } while (place !== null && outcome.examined < maxExamined && outcome.looked < maxLooked);
    return { ...told, ...outcome, componentsTotal, place };
  }

  #step(
    rules: IdentityRules,
    reach: RulesReach,
    from: { readonly place: Uuid | null; readonly limit: number; readonly outcome: RulesOutcome },
  ): Promise<{ readonly outcome: RulesOutcome; readonly place: Uuid | null }> {
    const { place, limit, outcome } = from;
    return this.parts.db.transaction(
      async (tx) => {
        const page = await componentPage(tx, { place, limit, reach, isBlocked: null });
        return { outcome: await this.#resolved(tx, rules, page, outcome), place: page.place };
      },
      { isolation: 'REPEATABLE READ', readOnly: true },
    );
  }

  async #resolved(
    tx: Transaction,
    rules: IdentityRules,
    { ids, looked }: ComponentPage,
    outcome: RulesOutcome,
  ): Promise<RulesOutcome> {
    const { clock, identity } = this.parts;
    // After all that is there.
    const input = { rules, ids, pos: Number.MAX_SAFE_INTEGER, at: clock.now(), revisionId: null };
    const found = await identity.resolve(tx, input);
    const moves = identity.movesOf(found, input);
    return withPage(outcome, {
      ...{ examined: ids.length, looked, contested: found.contested, moves },
      sizes: await sizesOf(tx, ids),
      known: await knownProfiles(
        tx,
        moves.map(({ to }) => to),
      ),
      identifierOf: new Map([...found.identifiers].map((identifier) => [identifier.id, identifier])),
    });
  }
}

/** The estimate is as old as the statistics of the database: what was looked at may be more, and is all there is at the end. */
function totalOf(estimated: number | null, looked: number, areAllLooked: boolean): number | null {
  if (areAllLooked) return looked;
  return estimated === null ? null : Math.max(estimated, looked);
}

async function knownProfiles(tx: Transaction, ids: readonly Uuid[]): Promise<Map<Uuid, { isAlive: boolean }>> {
  if (ids.length === 0) return new Map();
  const rows = await tx.query<{ id: Uuid; isAlive: boolean }>(
    'SELECT id, merged_into IS NULL AS "isAlive" FROM profiles WHERE id = ANY ($1::uuid[])',
    [uuidArray([...new Set(ids)], (id) => id)],
  );
  return new Map(rows.map(({ id, isAlive }) => [id, { isAlive }]));
}
