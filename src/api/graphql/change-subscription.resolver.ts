import { Arg, Authorized, Ctx, FieldResolver, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { ChangeLag, ChangeSubscription } from '../../activation/change-subscription.model.js';
import { isKey } from '../../platform/key.js';
import type { ApiContext } from './api-context.js';
import {
  ChangeFilterInput,
  ChangeSubscriptionConnection,
  ChangeSubscriptionDeleted,
  ChangeSubscriptionType,
  filterSpecOf,
} from './change-subscription.types.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { CHANGE_CURSOR, CHANGE_SUBSCRIPTION_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import { DateTime } from './scalars.js';

const SUCCESS = { type: ChangeSubscriptionType, name: 'ChangeSubscription' };

const Created = resultUnion<ChangeSubscription>('CreateChangeSubscriptionResult', SUCCESS, [
  'BadRequest',
  'NotFound',
  'Conflict',
]);
const Refiltered = resultUnion<ChangeSubscription>('SetChangeSubscriptionFilterResult', SUCCESS, [
  'BadRequest',
  'NotFound',
]);
const Acknowledged = resultUnion<ChangeSubscription>('AcknowledgeChangesResult', SUCCESS, ['NotFound']);
const Deleted = resultUnion<ChangeSubscriptionDeleted>(
  'DeleteChangeSubscriptionResult',
  { type: ChangeSubscriptionDeleted, name: 'ChangeSubscriptionDeleted' },
  ['NotFound'],
);

const KEY = 'Key of the subscription, as `crm_sync`.';

@Resolver(() => ChangeSubscriptionType)
export class ChangeSubscriptionResolver {
  /** A request asks for the number and the instant of one subscription by one read. */
  readonly #lags = new WeakMap<ChangeSubscription, Promise<ChangeLag | null>>();

  @Authorized('read')
  @Query(() => ChangeSubscriptionConnection, {
    description: 'Readers of the feed of changes whose place is kept here, by key.',
  })
  async changeSubscriptions(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<ChangeSubscription>>> {
    const limit = pageSize(first);
    reads.countSingleRead('changeSubscriptions');
    const from = typeof after === 'string' ? CHANGE_SUBSCRIPTION_CURSOR.decode(after).key : null;
    const found = from !== null && !isKey(from) ? [] : await services.changeSubscriptions.page(from, limit + 1);
    const edges = found.map((node) => ({ cursor: CHANGE_SUBSCRIPTION_CURSOR.encode({ key: node.key }), node }));
    return connection(edges, limit, after);
  }

  @Authorized('read')
  @Query(() => ChangeSubscriptionType, {
    nullable: true,
    description: 'One reader of the feed; null: there is none of this key.',
  })
  async changeSubscription(
    @Ctx() { services, reads }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<ChangeSubscription | null> {
    reads.countSingleRead('changeSubscription');
    return services.changeSubscriptions.find(key);
  }

  @FieldResolver(() => String, {
    description: 'How far it is: all changes up to this cursor, as `WyJjaGFuZ2VzLjEiLDQyXQ`, are dealt with.',
  })
  cursor(@Root() { seq }: ChangeSubscription): string {
    return CHANGE_CURSOR.encode({ seq });
  }

  @FieldResolver(() => Int, {
    nullable: true,
    description:
      'How many changes wait for it, counted up to 500. Null: what its filter names is gone or has changed, so that it is told nothing.',
  })
  async pending(@Root() subscription: ChangeSubscription, @Ctx() context: ApiContext): Promise<number | null> {
    return (await this.#lag(subscription, context))?.pending ?? null;
  }

  @FieldResolver(() => DateTime, {
    nullable: true,
    description: 'When the first of the changes that wait became true; null: none waits.',
  })
  async pendingSince(@Root() subscription: ChangeSubscription, @Ctx() context: ApiContext): Promise<number | null> {
    return (await this.#lag(subscription, context))?.since ?? null;
  }

  #lag(subscription: ChangeSubscription, { services, reads }: ApiContext): Promise<ChangeLag | null> {
    let lag = this.#lags.get(subscription);
    if (lag === undefined) {
      reads.countSingleRead('ChangeSubscription.pending');
      lag = services.changeSubscriptions.lag(subscription);
      this.#lags.set(subscription, lag);
    }
    return lag;
  }

  @Authorized('admin')
  @Mutation(() => Created.type, {
    description:
      'Makes a subscription whose place in the feed is kept here. Name it as `subscription` of `segmentChanges` and say by `acknowledgeChanges` what is dealt with; what was not comes again.',
  })
  createChangeSubscription(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: 'What it is to be called, as `crm_sync`; at most 63 characters.' })
    key: string,
    @Arg('filter', () => ChangeFilterInput, {
      nullable: true,
      description: 'Which changes it is told; all if left out.',
    })
    filter: ChangeFilterInput | null | undefined,
    @Arg('from', () => String, {
      nullable: true,
      description: 'The `cursor` of the change behind which it begins, as `WyJjaGFuZ2VzLjEiLDQyXQ`; now if left out.',
    })
    from: string | null | undefined,
  ): Promise<unknown> {
    return Created.attempt(async () => {
      const after = typeof from === 'string' ? CHANGE_CURSOR.decode(from, 'from').seq : null;
      return services.changeSubscriptions.create(key, filterSpecOf(filter), after);
    });
  }

  @Authorized('admin')
  @Mutation(() => Refiltered.type, {
    description:
      'Gives a subscription another filter and leaves it where it is: of the changes that wait, those that the new one admits are told. Whoever reads by it now goes on with the one before until they begin anew.',
  })
  setChangeSubscriptionFilter(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('filter', () => ChangeFilterInput, { description: 'Which changes it is told; an empty one: all.' })
    filter: ChangeFilterInput,
  ): Promise<unknown> {
    return Refiltered.attempt(() => services.changeSubscriptions.setFilter(key, filterSpecOf(filter)));
  }

  @Authorized('read')
  @Mutation(() => Acknowledged.type, {
    description:
      'Says that all changes up to a cursor are dealt with, in whatever order that was done. A cursor that lies behind what was acknowledged before changes nothing.',
  })
  acknowledgeChanges(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
    @Arg('cursor', () => String, {
      description: 'The `cursor` of the last change that was dealt with, as `WyJjaGFuZ2VzLjEiLDQyXQ`.',
    })
    cursor: string,
  ): Promise<unknown> {
    return Acknowledged.attempt(() =>
      services.changeSubscriptions.acknowledge(key, CHANGE_CURSOR.decode(cursor, 'cursor').seq),
    );
  }

  @Authorized('admin')
  @Mutation(() => Deleted.type, {
    description: 'Deletes a subscription and its place. Whoever reads by it now is told on until they leave.',
  })
  deleteChangeSubscription(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: KEY }) key: string,
  ): Promise<unknown> {
    return Deleted.attempt(async () => {
      await services.changeSubscriptions.remove(key);
      return { key };
    });
  }
}
