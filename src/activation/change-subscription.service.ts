import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { nameHint } from '../platform/near-names.js';
import type { Database } from '../platform/postgres.js';
import { ChangeFeedReader, type ChangeFilter } from './change-feed.reader.js';
import type { ChangeFilterSpec } from './change-filter.model.js';
import { ChangeFilterReader } from './change-filter.reader.js';
import { CHANGE_SUBSCRIPTION_LIMITS, type ChangeLag, type ChangeSubscription } from './change-subscription.model.js';
import { ChangeSubscriptionStore } from './change-subscription.store.js';

export interface ChangeSubscriptionDependencies {
  readonly db: Database;
  readonly clock: Clock;
}

/**
 * Subscriptions that have a name and whose place in the feed is kept here. What is acknowledged is dealt with; whoever
 * resumes is told everything behind it, so that what was handled and not acknowledged comes again.
 */
export class ChangeSubscriptionService {
  readonly #clock: Clock;
  readonly #store: ChangeSubscriptionStore;
  readonly #feed: ChangeFeedReader;
  readonly #filters: ChangeFilterReader;

  constructor({ db, clock }: ChangeSubscriptionDependencies) {
    this.#clock = clock;
    this.#store = new ChangeSubscriptionStore(db);
    this.#feed = new ChangeFeedReader(db);
    this.#filters = new ChangeFilterReader(db);
  }

  /**
   * @param after position that it begins behind; null: now
   * @throws WeftError BAD_REQUEST, NOT_FOUND (of the filter), CONFLICT (key is taken, or there are too many),
   *   CURSOR_INVALID
   */
  async create(key: string, filter: ChangeFilterSpec, after: number | null): Promise<ChangeSubscription> {
    if (!isKey(key)) {
      throw new WeftError('BAD_REQUEST', 'a subscription cannot be called so', { where: 'key', hint: KEY_HINT });
    }
    await this.#filters.resolve(filter);
    const head = await this.#feed.head();
    if (after !== null && (after < 0 || after > head)) throw beyondFeed('after');
    const { maxSubscriptions } = CHANGE_SUBSCRIPTION_LIMITS;
    if ((await this.#store.count()) >= maxSubscriptions) {
      throw new WeftError('CONFLICT', `there are ${String(maxSubscriptions)} subscriptions, which is all`, {
        hint: 'delete one that nobody reads any more: changeSubscriptions shows since when',
      });
    }
    const subscription = { key, filter, seq: after ?? head, createdAt: this.#clock.now(), acknowledgedAt: null };
    if (await this.#store.insert(subscription)) return subscription;
    throw new WeftError('CONFLICT', `the subscription ${key} exists already`, {
      where: 'key',
      hint: 'go on with that one, give it another filter (setChangeSubscriptionFilter), or choose another key',
    });
  }

  /**
   * Gives it another filter at the place where it is: of what lies behind that, what the new one admits is told. Whoever
   * reads by it now goes on with the filter that they began with.
   * @throws WeftError BAD_REQUEST, NOT_FOUND (the subscription, or what the filter names)
   */
  async setFilter(key: string, filter: ChangeFilterSpec): Promise<ChangeSubscription> {
    await this.#filters.resolve(filter);
    return (isKey(key) ? await this.#store.setFilter(key, filter) : null) ?? (await this.demand(key));
  }

  /** By key, those after one. */
  async page(afterKey: string | null, limit: number): Promise<ChangeSubscription[]> {
    return this.#store.page(afterKey, limit);
  }

  async find(key: string): Promise<ChangeSubscription | null> {
    return isKey(key) ? this.#store.find(key) : null;
  }

  /** @throws WeftError NOT_FOUND */
  async demand(key: string): Promise<ChangeSubscription> {
    const found = await this.find(key);
    if (found !== null) return found;
    const known = await this.#store.page(null, CHANGE_SUBSCRIPTION_LIMITS.maxSubscriptions);
    throw new WeftError('NOT_FOUND', `there is no subscription ${key.slice(0, 100)}`, {
      where: 'subscription',
      hint: nameHint(
        key,
        known.map((each) => each.key),
        'changeSubscriptions shows all of them',
      ),
    });
  }

  /** What its filter means now. @throws WeftError as `create`, where what it names is gone or has changed */
  async filterOf({ filter }: ChangeSubscription): Promise<ChangeFilter> {
    return this.#filters.resolve(filter);
  }

  /**
   * Everything up to this position is dealt with. One that lies behind what was acknowledged before changes nothing.
   * @throws WeftError NOT_FOUND; CURSOR_INVALID beyond the end of the feed
   */
  async acknowledge(key: string, seq: number): Promise<ChangeSubscription> {
    const moved = isKey(key) ? await this.#store.acknowledge(key, seq, this.#clock.now()) : null;
    if (moved !== null) return moved;
    await this.demand(key);
    throw beyondFeed('cursor');
  }

  /** Everything that there is by now is dealt with. @throws WeftError NOT_FOUND */
  async acknowledgeAll(key: string): Promise<ChangeSubscription> {
    return this.acknowledge(key, await this.#feed.head());
  }

  /** @throws WeftError NOT_FOUND */
  async remove(key: string): Promise<void> {
    if (!isKey(key) || !(await this.#store.remove(key))) await this.demand(key);
  }

  /** What waits for it. Null: nobody can tell, because its filter means nothing any more. */
  async lag(subscription: ChangeSubscription): Promise<ChangeLag | null> {
    const filter = await this.filterOf(subscription).catch(withoutMeaning);
    if (filter === null) return null;
    const waiting = await this.#feed.after(subscription.seq, CHANGE_SUBSCRIPTION_LIMITS.maxCounted, filter);
    return { pending: waiting.length, since: waiting[0]?.at ?? null };
  }
}

function beyondFeed(where: string): WeftError {
  return new WeftError('CURSOR_INVALID', 'the cursor lies beyond the end of the feed', {
    where,
    hint: 'it comes from another installation',
  });
}

function withoutMeaning(error: unknown): null {
  if (error instanceof WeftError && (error.code === 'NOT_FOUND' || error.code === 'BAD_REQUEST')) return null;
  throw error;
}
