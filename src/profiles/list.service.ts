import type { EventAcceptor, EventSource } from '../events/accept.model.js';
import type { AcceptResult, RawIdentifier } from '../events/event.model.js';
import { checkNaming } from '../platform/check-naming.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId } from '../platform/ids.js';
import { lockDefinitions, touchDefinitions } from '../platform/installation.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { nameHint } from '../platform/near-names.js';
import type { Database, Transaction } from '../platform/postgres.js';
import {
  isListTrait,
  LIST_LIMITS,
  listMessageId,
  listTrait,
  listWord,
  messageIdsFrom,
  type ListChange,
  type ListOrigin,
  type StoredList,
} from './list.model.js';
import { ListReader } from './list.reader.js';
import { ListStore } from './list.store.js';
import { OWN_SOURCE } from './own-source.model.js';
import { TraitDefinitionReader } from './trait-definition.reader.js';
import { TraitDefinitionStore } from './trait-definition.store.js';

/** An identifier as somebody named it. */
export interface NamedIdentifier extends RawIdentifier {
  /** Whether it is one as it stands for a profile, whatever the rules of identity would make of it; default: no. */
  readonly isStanding?: boolean;
}

/** One change of a list, under way. */
export interface RunningChange {
  readonly key: string;
  readonly kind: ListChange['kind'];
  /** Its instant, ms. */
  readonly at: number;
}

export interface ListServiceParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly accept: EventAcceptor;
  readonly sources: { ensure(source: typeof OWN_SOURCE): Promise<EventSource> };
  /** Keys of the lists that live segments ask about, each with what does. */
  readonly uses: (tx: Transaction) => Promise<ReadonlyMap<string, string>>;
}

export type ListCounts = Pick<ListChange, 'rows' | 'taken' | 'refused' | 'removed'>;

const NO_COUNTS: ListCounts = { rows: 0, taken: 0, refused: 0, removed: 0 };
/** Events that are handed to the log at once. */
const EVENTS_PER_CALL = 1_000;
/** Calls whose answers a replacement waits for at once. */
const MAX_IN_FLIGHT = 4;
/** Lists that were removed: what was said of them is told apart from what is said of one of the same key for ever. */
const MAX_REMOVED = 10_000;

/**
 * Lists of people, changed by events: so who is on one takes part in merges, unmerges, erasures and rebuilds as all else does.
 *
 * A change is begun, says something of identifiers some at a time, and is ended. Of one that was broken off what was said
 * stays; done again, it says the same.
 */
export class ListService {
  readonly #store = new ListStore();
  readonly #rules = new TraitDefinitionStore();

  constructor(private readonly parts: ListServiceParts) {}

  /**
   * Creates a list, or names it anew.
   * @throws WeftError BAD_REQUEST, CONFLICT (there are too many)
   */
  async upsert(list: Pick<StoredList, 'key' | 'name' | 'description'>): Promise<StoredList> {
    checkList(list);
    return this.parts.db.transaction(async (tx) => {
      await lockDefinitions(tx);
      const reader = new ListReader(tx);
      const keys = await reader.keys();
      if (!keys.has(list.key) && keys.size >= LIST_LIMITS.maxLists) {
        throw new WeftError('CONFLICT', `there are ${String(keys.size)} lists`, {
          where: 'key',
          hint: `at most ${String(LIST_LIMITS.maxLists)} can be: remove one by weft list rm`,
        });
      }
      await this.#store.save(tx, list, this.parts.clock.now());
      return found(await reader.byKey(list.key), list.key, keys);
    });
  }

  /** @throws WeftError NOT_FOUND, CONFLICT (a list of this key was removed within the same millisecond) */
  async begin(key: string, kind: ListChange['kind'], origin: ListOrigin | null = null): Promise<RunningChange> {
    const { db, clock } = this.parts;
    return db.transaction(async (tx) => {
      const change = { kind, isDone: false, ...NO_COUNTS };
      const removedAt = await this.#store.removedAt(tx, key);
      const nowMs = clock.now();
      const at = await this.#store.begin(tx, key, change, nowMs);
      if (at === null) throw noSuchList(key, await new ListReader(tx).keys());
      // Events cannot be of the future, and what is said until then belongs to the list that was removed.
      if (removedAt !== null && nowMs <= removedAt) {
        throw new WeftError('CONFLICT', `a list ${key} was removed this very moment`, {
          where: key,
          hint: 'do the same again',
        });
      }
      // A copy stays one for as long as nobody gives it other rows.
      await this.#store.setOrigin(tx, key, origin);
      return { key, kind, at };
    });
  }

  /**
   * Says of identifiers that they are on the list, or, of a change that removes, that they are not. Durable when it resolves.
   * @returns the outcome of each, at its index
   * @throws WeftError OVERLOADED, UNAVAILABLE: nothing is known to be said; saying all again is right; CONFLICT: somebody
   *   removes or replaces the list meanwhile, who may have looked already at whom that takes off it
   */
  async say({ key, kind, at }: RunningChange, identifiers: readonly NamedIdentifier[]): Promise<AcceptResult[]> {
    if (await this.#store.isOver(this.parts.db, key, at)) {
      throw new WeftError('CONFLICT', `the list ${key} was removed, or is replaced by a later change`, {
        where: key,
        hint: 'wait until that has ended, and begin anew',
      });
    }
    return this.#say(key, { at, listed: kind !== 'remove' }, identifiers);
  }

  /**
   * Ends a replacement: whoever nothing newer names is not on the list any more. What was said must be applied by then.
   * @param onRemoved told how many so far
   * @returns how many identifiers are on the list no more
   * @throws WeftError as {@link say}
   */
  async removeOthers({ key, at }: RunningChange, onRemoved?: (count: number) => void): Promise<number> {
    const newest = messageIdsFrom(at);
    let removed = 0;
    let waiting: NamedIdentifier[] = [];
    const inFlight: Promise<AcceptResult[]>[] = [];
    const send = (): void => {
      const saying = this.#say(key, { at: at - 1, listed: false }, waiting);
      waiting = [];
      // A failure is met when its turn comes; until then it must not count as unhandled.
      saying.catch(() => undefined);
      inFlight.push(saying);
    };
    const settleFirst = async (): Promise<void> => {
      const results = (await inFlight.shift()) ?? [];
      removed += results.filter(({ status }) => status === 'accepted').length;
      onRemoved?.(removed);
    };
    try {
      for await (const page of new ListReader(this.parts.db).identifiersOn(key)) {
        for (const { ns, value, messageId } of page) {
          if (messageId < newest) waiting.push({ ns, value, isStanding: true });
        }
        if (waiting.length >= EVENTS_PER_CALL) send();
        while (inFlight.length >= MAX_IN_FLIGHT) await settleFirst();
      }
      if (waiting.length > 0) send();
      while (inFlight.length > 0) await settleFirst();
    } catch (error) {
      await Promise.allSettled(inFlight);
      throw error;
    }
    return removed;
  }

  /** Notes how a change ended. */
  async end({ key, kind, at }: RunningChange, counts: ListCounts): Promise<void> {
    await this.#store.settle(this.parts.db, key, at, { kind, isDone: true, ...counts });
  }

  /**
   * A change that is one request.
   * @returns the outcome of each identifier, at its index
   * @throws WeftError BAD_REQUEST (none, or too many), NOT_FOUND
   */
  async change(
    key: string,
    kind: 'add' | 'remove',
    identifiers: readonly RawIdentifier[],
  ): Promise<{ readonly list: StoredList; readonly results: readonly AcceptResult[] }> {
    const { maxIdentifiersPerChange } = LIST_LIMITS;
    if (identifiers.length === 0 || identifiers.length > maxIdentifiersPerChange) {
      throw new WeftError('BAD_REQUEST', `${String(identifiers.length)} identifiers were given`, {
        where: 'identifiers',
        hint: `give 1 to ${String(maxIdentifiersPerChange)} at once; files of any size are taken by weft list upload`,
      });
    }
    const running = await this.begin(key, kind);
    const results = await this.say(running, identifiers);
    const refused = results.filter(({ status }) => status === 'refused').length;
    const rows = identifiers.length;
    await this.end(running, { ...NO_COUNTS, rows, taken: rows - refused, refused });
    const reader = new ListReader(this.parts.db);
    return { list: found(await reader.byKey(key), key, []), results };
  }

  /**
   * Removes a list. What was said of it is taken out of profiles in the background, and counts no more at once.
   * @throws WeftError NOT_FOUND, CONFLICT while a live segment asks about it
   */
  async remove(key: string): Promise<StoredList> {
    const { db, clock, uses } = this.parts;
    return db.transaction(async (tx) => {
      await lockDefinitions(tx);
      const reader = new ListReader(tx);
      const list = found(await reader.byKey(key), key, await reader.keys());
      const user = (await uses(tx)).get(key);
      if (user !== undefined) {
        throw new WeftError('CONFLICT', `${user} asks about the list ${key}`, {
          where: key,
          hint: `archive or change the ${user} first`,
        });
      }
      const name = listTrait(key);
      const deleted = await new TraitDefinitionReader(tx).deletions();
      const count = [...deleted.keys()].filter(isListTrait).length;
      if (!deleted.has(name) && count >= MAX_REMOVED) {
        throw new WeftError('CONFLICT', `${String(count)} lists were removed already`, {
          where: key,
          hint: 'replace what is on it instead, and name it anew',
        });
      }
      const changedAt = await this.#store.remove(tx, key);
      if (changedAt !== null) {
        // What was said is of the last change or earlier, and another list of this key may begin at once.
        await this.#rules.delete(tx, name, changedAt);
        await this.#rules.noteRuleChange(tx, [{ name, isTraced: true }], clock.now());
      }
      await touchDefinitions(tx);
      return list;
    });
  }

  async #say(
    key: string,
    { at, listed }: { readonly at: number; readonly listed: boolean },
    identifiers: readonly NamedIdentifier[],
  ): Promise<AcceptResult[]> {
    const { accept, sources, clock } = this.parts;
    // Whoever administers lists may name anybody.
    const source = { ...(await sources.ensure(OWN_SOURCE)), authenticated: true };
    const results: AcceptResult[] = [];
    for (let i = 0; i < identifiers.length; i += EVENTS_PER_CALL) {
      const events = identifiers.slice(i, i + EVENTS_PER_CALL).map(({ ns, value, isStanding = false }) => ({
        type: 'identify' as const,
        messageId: listMessageId(at, newId(clock.now())),
        timestampMs: at,
        identifiers: [{ ns, value }],
        areStanding: isStanding,
        reserved: listWord(key, listed),
      }));
      // Letters would keep the identifiers of those who are refused because they were erased.
      results.push(...(await accept.accept(source, events, { historical: false, deadLetters: false })));
    }
    return results;
  }
}

function found(list: StoredList | null, key: string, known: Iterable<string>): StoredList {
  if (list !== null) return list;
  throw noSuchList(key, known);
}

/** @param known the lists that there are */
export function noSuchList(key: string, known: Iterable<string>): WeftError {
  return new WeftError('NOT_FOUND', `there is no list ${key.slice(0, 100)}`, {
    where: 'key',
    hint: nameHint(key, known, 'weft list ls shows those that there are; weft list upload makes one'),
  });
}

function checkList({ key, name, description }: Pick<StoredList, 'key' | 'name' | 'description'>): void {
  if (!isKey(key)) {
    throw new WeftError('BAD_REQUEST', `"${key.slice(0, 100)}" is no key of a list`, { where: 'key', hint: KEY_HINT });
  }
  checkNaming({ name, description }, LIST_LIMITS);
}
