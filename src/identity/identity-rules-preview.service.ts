import type { Identifier } from '../events/event.model.js';
import { uuidArray } from '../platform/binary-arrays.js';
import type { Clock } from '../platform/clock.js';
import type { Uuid } from '../platform/ids.js';
import type { Database, Transaction } from '../platform/postgres.js';
import type { Warning } from '../platform/warning.js';
import { blockedTest, type BlockedTest } from './blocked-patterns.js';
import { blockedIn, componentPage, estimateComponents, sizesOf, type ComponentPage } from './component-page.reader.js';
import { genericBoundOf, MAX_BLOCKED_VALUES } from './generic-value.model.js';
import type { GenericValueStore } from './generic-value.store.js';
import { diffIdentityRules } from './diff-identity-rules.js';
import type { IdentityRevisionStep } from './identity-revision.step.js';
import type { GenericValues, IdentityRules, IdentityRuleSet } from './identity-rules.model.js';
import { IdentityRulesReader } from './identity-rules.reader.js';
import { NO_OUTCOME, withPage, type IdentityRulesPreview, type RulesOutcome } from './rules-preview.model.js';
import { previewValues, type JoinedComponents, type PreviewedValues } from './previewed-values.js';
import { areOthersUnique, REACH_OF_ALL, reachOfRules, type RulesReach } from './rules-reach.model.js';

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
  readonly generics: GenericValueStore;
}

/** What is asked. */
interface Asked {
  readonly rules: IdentityRules;
  readonly reach: RulesReach;
  /** Null: what is blocked is as it was. */
  readonly isBlocked: BlockedTest | null;
  /** Whether other values may be seen with too many others. */
  readonly areCounted: boolean;
  readonly values: PreviewedValues;
}

/** As many as the workers resolve in one step. */
const MAX_STEP_COMPONENTS = 200;

/**
 * Says what rules of who is who would do to those who are there: by what resolves them anew (`IdentityRevisionStep`),
 * each step from one snapshot, and without writing anything.
 *
 * Values that would count for nobody, or would count again, are taken to be so (`previewed-values.ts`). Components that
 * the latter join are worked out together, where the first of them is.
 */
export class IdentityRulesPreviews {
  constructor(private readonly parts: RulesPreviewParts) {}

  /** @param rules null: those in force, for everybody: what `reresolve` would do */
  async preview(rules: IdentityRuleSet | null, options: RulesPreviewOptions): Promise<IdentityRulesPreview> {
    const { db } = this.parts;
    const { place: first, maxExamined, maxLooked = Number.POSITIVE_INFINITY, onProgress, signal } = options;
    const { rules: standing } = await new IdentityRulesReader(db).current();
    const changes = rules === null ? [] : diffIdentityRules(standing, rules);
    const reach =
      rules === null
        ? REACH_OF_ALL
        : reachOfRules(standing, withGenerics({ ...rules, version: standing.version }, standing.generics));
    const estimated = await estimateComponents(db);
    const told = { changes, causes: reach.causes };
    if (rules !== null && reach.causes.length === 0) {
      return { ...told, ...NO_OUTCOME, warnings: [], componentsTotal: 0, place: null };
    }
    const asked = await this.#asked(standing, rules, reach);
    let outcome: RulesOutcome = NO_OUTCOME;
    let place = first;
    let componentsTotal: number | null;
    do {
      signal?.throwIfAborted();
      const limit = Math.min(MAX_STEP_COMPONENTS, maxExamined - outcome.examined);
      const step = await this.#step(asked, { place, limit, outcome });
      ({ outcome, place } = step);
      componentsTotal = totalOf(estimated, outcome.looked, first === null && place === null);
      onProgress?.(outcome, componentsTotal);
    } while (place !== null && outcome.examined < maxExamined && outcome.looked < maxLooked);
    return { ...told, ...outcome, warnings: warningsOf(asked, outcome), componentsTotal, place };
  }

  async #asked(standing: IdentityRules, rules: IdentityRuleSet | null, reach: RulesReach): Promise<Asked> {
    const { db, generics } = this.parts;
    const asked = rules === null ? standing : withGenerics({ ...rules, version: standing.version }, standing.generics);
    const isBlocked = blockedTest(asked);
    const areCounted = reach.blocks || areOthersUnique(standing, asked);
    const values = areCounted
      ? await previewValues(db, generics, asked, { isBlocked, areCounted })
      : { released: new Set<Uuid>(), joined: new Map<Uuid, JoinedComponents>(), blocked: 0, isCut: false };
    const version = standing.generics?.version ?? 0;
    const ids = new Set([...(standing.generics?.ids ?? [])].filter((id) => !values.released.has(id)));
    return {
      ...{ rules: withGenerics(asked, { version, ids, ...formerOf(standing) }), reach, areCounted, values },
      isBlocked: reach.blocks ? isBlocked : null,
    };
  }

  #step(
    asked: Asked,
    { place, limit, outcome }: { readonly place: Uuid | null; readonly limit: number; readonly outcome: RulesOutcome },
  ): Promise<{ readonly outcome: RulesOutcome; readonly place: Uuid | null }> {
    const { reach, isBlocked, values } = asked;
    return this.parts.db.transaction(
      async (tx) => {
        const page = await componentPage(tx, { place, limit, reach, isBlocked, also: values.joined });
        return { outcome: await this.#resolved(tx, asked, page, outcome), place: page.place };
      },
      { isolation: 'REPEATABLE READ', readOnly: true },
    );
  }

  async #resolved(tx: Transaction, asked: Asked, page: ComponentPage, outcome: RulesOutcome): Promise<RulesOutcome> {
    const { clock, identity } = this.parts;
    const { joined } = asked.values;
    const first = page.ids.filter((id) => (joined.get(id)?.ids[0] ?? id) === id);
    const ids = [...new Set(first.flatMap((id) => joined.get(id)?.ids ?? [id]))];
    const released = first.flatMap((id) => joined.get(id)?.released ?? []);
    const uncounted = await this.#uncounted(tx, asked, ids);
    const rules = withValues(asked.rules, uncounted);
    const input = { rules, ids, pos: await appliedPos(tx), at: clock.now(), revisionId: null, released };
    const found = await identity.resolve(tx, input);
    // Who would be there again has not been anywhere.
    const isNew = await this.#newAmong(tx, released);
    found.moves.splice(0, found.moves.length, ...found.moves.filter(({ identifierId }) => !isNew.has(identifierId)));
    const moves = identity.movesOf(found, input);
    const founded = [...found.profiles.values()].filter(
      (each) => each.mergedInto === null && isNew.has(each.foundingId),
    );
    return withPage(outcome, {
      ...{ examined: ids.length, looked: page.looked, contested: found.contested, moves },
      identifiersGone: found.moves.filter(({ to }) => to === null).length,
      valuesUncounted: uncounted.length,
      founded: founded.map(({ id }) => id),
      sizes: await sizesOf(tx, ids),
      known: await knownProfiles(
        tx,
        moves.map(({ to }) => to),
      ),
      identifierOf: new Map([...found.identifiers].map((identifier) => [identifier.id, identifier])),
    });
  }

  /** Values in these components that would not count, and do now. */
  async #uncounted(
    tx: Transaction,
    { rules, isBlocked, areCounted, values }: Asked,
    ids: readonly Uuid[],
  ): Promise<Uuid[]> {
    const found = isBlocked === null ? [] : [...(await blockedIn(tx, ids, isBlocked, values.joined)).values()].flat();
    const blocked = found.map(({ id }) => id).filter((id) => rules.generics?.ids.has(id) !== true);
    if (!areCounted) return blocked;
    const { generics } = this.parts;
    const bound = genericBoundOf(rules);
    const shared = new Set<Uuid>();
    for (const id of await largerThan(tx, ids, bound)) {
      for (const value of await generics.crowdedIn(tx, id, rules, bound, blocked)) shared.add(value.id);
    }
    const kept = await generics.keptAmong(tx, [...shared]);
    return [
      ...new Set([...blocked, ...[...shared].filter((id) => !kept.has(id) && rules.generics?.ids.has(id) !== true)]),
    ];
  }

  async #newAmong(tx: Transaction, values: readonly Identifier[]): Promise<Set<Uuid>> {
    if (values.length === 0) return new Set();
    const rows = await tx.query<{ id: Uuid }>('SELECT id FROM identifiers WHERE id = ANY ($1::uuid[])', [
      uuidArray(values, ({ id }) => id),
    ]);
    const known = new Set(rows.map(({ id }) => id));
    return new Set(values.map(({ id }) => id).filter((id) => !known.has(id)));
  }
}

function withGenerics(rules: IdentityRules, generics: GenericValues | undefined): IdentityRules {
  return generics === undefined ? rules : { ...rules, generics };
}

function withValues(rules: IdentityRules, ids: readonly Uuid[]): IdentityRules {
  const { version = 0, ids: standing = [] } = rules.generics ?? {};
  return { ...rules, generics: { version, ids: new Set([...standing, ...ids]), ...formerOf(rules) } };
}

function formerOf({ generics }: IdentityRules): Pick<GenericValues, 'former'> {
  return generics?.former === undefined ? {} : { former: generics.former };
}

function warningsOf({ isBlocked, values }: Asked, { valuesUncounted }: RulesOutcome): Warning[] {
  const blocked = isBlocked === null ? 0 : values.blocked + valuesUncounted;
  const told: Warning[] = [];
  if (blocked > MAX_BLOCKED_VALUES) {
    told.push({
      message: `${String(blocked)} blocked values were seen with others: at most ${String(MAX_BLOCKED_VALUES)} would not count`,
      where: 'identity.blocked',
      hint: 'block fewer values',
    });
  }
  if (values.isCut) {
    told.push({
      message: 'more people were seen with values that would count again than are worked out: more would become one',
      where: 'identity',
      hint: 'change less at a time',
    });
  }
  return told;
}

/** Where a revision stands that is done now, see `next-place.ts`. */
async function appliedPos(tx: Transaction): Promise<number> {
  const [row] = await tx.query<{ pos: number | null }>('SELECT max(applied_pos) AS pos FROM partitions');
  return row?.pos ?? 0;
}

/** Of these components those of more identifiers than so many. */
async function largerThan(tx: Transaction, ids: readonly Uuid[], bound: number): Promise<Uuid[]> {
  const rows = await tx.query<{ id: Uuid }>(
    `SELECT component_id AS id FROM identifiers WHERE component_id = ANY ($1::uuid[])
     GROUP BY component_id HAVING count(*) > $2 ORDER BY component_id`,
    [uuidArray(ids, (id) => id), bound],
  );
  return rows.map(({ id }) => id);
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
