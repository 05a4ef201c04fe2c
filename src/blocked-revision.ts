import type { LoadedDefinitions } from './definitions.js';
import type { Identifier } from './events/event.model.js';
import { blockedTest } from './identity/blocked-patterns.js';
import { blockedIn, componentsNaming, MAX_MENTIONS } from './identity/component-page.reader.js';
import { genericBoundOf, MAX_BLOCKED_VALUES, sharedCountOf } from './identity/generic-value.model.js';
import { GenericValueReader } from './identity/generic-value.reader.js';
import type { GenericValueStore } from './identity/generic-value.store.js';
import type { IdentityRevision } from './identity/revised-identity.model.js';
import { moveMisplaced, type MoveParts } from './move-misplaced.js';
import type { Uuid } from './platform/ids.js';
import type { Transaction } from './platform/postgres.js';

export interface BlockedRevisionParts extends MoveParts {
  /** Blocked values that count as generic at once. */
  readonly maxBlockedValues?: number | undefined;
}

/** Values that change what they are in one transaction: each of these has the definitions loaded anew. */
const MAX_CHANGED_VALUES = 500;
/** Values whose events are moved in one step. */
const MAX_MOVED_VALUES = 100;
const VALUES_PER_PAGE = 5_000;

/** What to do about blocked values before components are resolved. */
export interface BlockedMove {
  /** Generic values on which events hang that belong elsewhere. */
  readonly ids: readonly Uuid[];
  /** Whether these are all of those that were asked about. */
  readonly areAll: boolean;
}

/**
 * Values that rules block though events have brought them before, and values that they block no more, where those whom the
 * rules concern are resolved anew.
 *
 * 1. What is blocked counts as generic (`generic-value.model.ts`), from the step on that finds it beside others, for all
 *    workers at once. What stands alone joins nobody and is left as it is.
 * 2. Nothing that was accepted by rules before may still wait to be applied: it could bring such a value. So whoever
 *    begins waits for that; what comes later does not carry it.
 * 3. Values that are blocked no more never join anybody by what is blocked in their stead: what is blocked of whoever
 *    names them counts for nobody before they count again, and is moved with them. So who keeps which profile is what
 *    it would be had all been done at once, as far as that is one step. Where they were blocked a moment ago, and events
 *    are yet to be moved away from them, that is done to its end first: whom those name is not of their components.
 * 4. What is found, and what is still to be moved, is told by the tables alone, so that a process that dies leaves whole
 *    steps behind.
 */
export class BlockedRevision {
  /** Blocked values that count as generic at once. */
  readonly maxBlockedValues: number;

  constructor(private readonly parts: BlockedRevisionParts) {
    this.maxBlockedValues = parts.maxBlockedValues ?? MAX_BLOCKED_VALUES;
  }

  /** Whether events wait to be applied that were accepted by rules before these; see 2. */
  async hasUnheard({ identityRules: { version } }: LoadedDefinitions): Promise<boolean> {
    const [row] = await this.parts.db.query<{ version: number }>(
      `SELECT rules_version AS version FROM event_log
       WHERE pos > (SELECT min(applied_pos) FROM partitions) ORDER BY pos LIMIT 1`,
    );
    return row !== undefined && row.version < version;
  }

  /**
   * Has values that are generic be so for what they are: because they are blocked, or not. What is blocked of those whom
   * values join that are so no more is put out before; see 3.
   * @returns whether there were any to change: others are the definitions in force then; or what is to be moved before
   */
  async review(definitions: LoadedDefinitions, run: Run): Promise<boolean | BlockedMove> {
    const { db, clock, generics } = this.parts;
    const { identityRules: rules } = definitions;
    const isBlocked = blockedTest(rules);
    const reader = new GenericValueReader(db);
    for (let after: Uuid | null = null; ;) {
      const page = await reader.standing(after, VALUES_PER_PAGE);
      const other = page
        .filter((each) => isBlocked(each.ns, each.value) !== each.isBlocked)
        .slice(0, MAX_CHANGED_VALUES);
      if (other.length > 0) {
        const blocked = other.filter((each) => !each.isBlocked);
        const counted: Parameters<GenericValueStore['unblock']>[1][number][] = [];
        const released = other.filter((each) => each.isBlocked);
        if (await this.block(definitions, await this.#blockedBeside(definitions, idsOf(released)), run)) return true;
        const move = blocked.length > 0 ? null : await this.toMove(released);
        if (move !== null) return move;
        for (const { id, isKept } of released) {
          const neighbours = await generics.neighboursOf(db, id, rules);
          counted.push({ id, neighbours, isGeneric: !isKept && neighbours > genericBoundOf(rules) });
        }
        await run(async (tx) => {
          if (blocked.length > 0) await generics.block(tx, blocked, clock.now());
          if (counted.length > 0) await generics.unblock(tx, counted, clock.now());
          await generics.markAllStale(tx);
        });
        return true;
      }
      after = page.at(-1)?.id ?? null;
      if (page.length < VALUES_PER_PAGE) return false;
    }
  }

  /** Makes blocked values generic, as many as there is room for; whether there were any, as {@link review}. */
  async block({ identityRules: rules }: LoadedDefinitions, values: readonly Identifier[], run: Run): Promise<boolean> {
    const { clock, generics } = this.parts;
    const standing = (rules.generics?.ids.size ?? 0) - sharedCountOf(rules);
    const room = Math.max(0, this.maxBlockedValues - standing);
    const unknown = this.counting(rules, values).slice(0, Math.min(room, MAX_CHANGED_VALUES));
    if (unknown.length === 0) return false;
    await run(async (tx) => {
      await generics.block(tx, unknown, clock.now());
      await generics.markAllStale(tx);
    });
    return true;
  }

  /** Those of the values that still count. */
  counting({ generics }: LoadedDefinitions['identityRules'], values: readonly Identifier[]): readonly Identifier[] {
    return values.filter(({ id }) => generics?.ids.has(id) !== true);
  }

  /**
   * Of values that are blocked those from which events have to be moved; null: from none.
   * @param values of a page; null: all, also those that stand alone since some of their events were moved
   */
  async toMove(values: readonly Identifier[] | null): Promise<BlockedMove | null> {
    if (values?.length === 0) return null;
    const { db, generics } = this.parts;
    const limit = MAX_MOVED_VALUES + 1;
    const ids =
      values === null
        ? await generics.misplacedOnBlocked(db, limit)
        : await generics.misplacedOn(db, idsOf(values), limit);
    return ids.length === 0 ? null : { ids: ids.slice(0, MAX_MOVED_VALUES), areAll: ids.length <= MAX_MOVED_VALUES };
  }

  /** Values that count again, of which not all is moved yet, and blocked ones beside them on which events hang still. */
  async released(definitions: LoadedDefinitions): Promise<readonly Uuid[]> {
    const { db, generics } = this.parts;
    const ids = await generics.moving(db, MAX_MOVED_VALUES);
    if (ids.length === 0) return [];
    const move = await this.toMove(await this.#blockedBeside(definitions, ids));
    return [...new Set([...ids, ...(move?.ids ?? [])])];
  }

  /** What is blocked in components that name these values. */
  async #blockedBeside({ identityRules }: LoadedDefinitions, valueIds: readonly Uuid[]): Promise<Identifier[]> {
    const { db } = this.parts;
    const named = await componentsNaming(db, valueIds, MAX_MENTIONS);
    const componentIds = new Set(named.map(({ componentId }) => componentId));
    return [...(await blockedIn(db, [...componentIds], blockedTest(identityRules), componentIds)).values()].flat();
  }

  /**
   * Moves events that belong elsewhere by what the values are, and resolves whomever they name anew with `others`.
   * @param note told whether that was all, in the transaction that does it
   * @returns false: it has to wait
   */
  async move(
    definitions: LoadedDefinitions,
    { id, failures }: { readonly id: Uuid; readonly failures: number },
    { ids, others }: { readonly ids: readonly Uuid[]; readonly others: readonly Uuid[] },
    note: (tx: Transaction, found: IdentityRevision, isLast: boolean) => Promise<void>,
  ): Promise<boolean> {
    return moveMisplaced(this.parts, definitions, { revisionId: id, failures, areRulesNew: true, ids, others }, note);
  }
}

function idsOf(values: readonly Pick<Identifier, 'id'>[]): Uuid[] {
  return values.map(({ id }) => id);
}

/** In a transaction of the holder of the first partition, by the definitions in force. */
type Run = (write: (tx: Transaction) => Promise<void>) => Promise<void>;
