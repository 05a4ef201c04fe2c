import { Arg, Authorized, Ctx, ID, Int, Mutation, Query, Resolver } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import { isUuid } from '../../platform/ids.js';
import { nameOf } from '../auth/api-key.model.js';
import type { Erasure } from '../../privacy/erasure.model.js';
import type { ErasureTarget } from '../../privacy/erasure.service.js';
import { profileExportPath } from '../profile-export.routes.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, ERASURE_CURSOR } from './cursors.js';
import {
  EraseProfileInput,
  ErasureConnection,
  ErasureReceiptType,
  ExportProfileInput,
  ProfileExportType,
  SuppressionLifted,
  type PersonInput,
} from './erasure.types.js';
import { resultUnion } from './failure.types.js';
import { IdentifierInput } from './profile.types.js';

const Erased = resultUnion<Erasure>('EraseProfileResult', { type: ErasureReceiptType, name: 'ErasureReceipt' }, [
  'NotFound',
  'BadRequest',
]);
const Lifted = resultUnion<SuppressionLifted>(
  'LiftSuppressionResult',
  { type: SuppressionLifted, name: 'SuppressionLifted' },
  ['NotFound', 'BadRequest'],
);

const Exported = resultUnion<ProfileExportType>(
  'ExportProfileResult',
  { type: ProfileExportType, name: 'ProfileExport' },
  ['NotFound', 'BadRequest'],
);

@Resolver()
export class ErasureResolver {
  @Authorized('admin')
  @Query(() => ErasureReceiptType, { nullable: true, description: 'One erasure; null: there is none with this id.' })
  async erasureReceipt(
    @Ctx() { services, reads }: ApiContext,
    @Arg('id', () => ID, { description: 'Its id, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
  ): Promise<Erasure | null> {
    reads.countSingleRead('erasureReceipt');
    return isUuid(id) ? services.erasures.find(id) : null;
  }

  @Authorized('admin')
  @Query(() => ErasureConnection, { description: 'Erasures, the newest first.' })
  async erasureReceipts(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<ErasureReceiptType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('erasureReceipts');
    const place = typeof after === 'string' ? ERASURE_CURSOR.decode(after) : null;
    const before = place === null ? null : { requestedAt: place.requestedAt, id: cursorId(place.id) };
    const erasures = await services.erasures.page(before, limit + 1);
    const edges = erasures.map((node) => ({
      cursor: ERASURE_CURSOR.encode({ requestedAt: node.requestedAt, id: node.id }),
      node,
    }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Mutation(() => Erased.type, {
    description:
      'Erases a person for good: every event of theirs, and everything that came of it. From the answer on nothing more of them is accepted; workers do the rest, mostly within seconds: ask `erasureReceipt` until it is `LOGICAL`. Asked again meanwhile, the same receipt.',
  })
  eraseProfile(
    @Ctx() { services, principal }: ApiContext,
    @Arg('input', () => EraseProfileInput, { description: 'Whom, and why.' }) input: EraseProfileInput,
  ): Promise<unknown> {
    const actor = nameOf(principal);
    return Erased.attempt(() => services.erasures.request(targetOf(input), { reason: input.reason, actor }));
  }

  @Authorized('admin')
  @Mutation(() => Exported.type, {
    description:
      'Says where all that is known of a person can be fetched as one JSON file: identifiers, traits with where they come from, features, memberships, changes, merges and events. Changes nothing.',
  })
  exportProfile(
    @Ctx() { services }: ApiContext,
    @Arg('input', () => ExportProfileInput, {
      description: 'Whose data is to be exported: by profile or by identifier.',
    })
    input: ExportProfileInput,
  ): Promise<unknown> {
    return Exported.attempt(async () => {
      const profileId = await services.erasures.profileOf(targetOf(input));
      return { profileId, path: profileExportPath(profileId) };
    });
  }

  @Authorized('admin')
  @Mutation(() => Lifted.type, {
    description:
      'Lets an identifier of somebody who was erased be accepted again, as where they become a customer anew. What was erased stays so.',
  })
  liftSuppression(
    @Ctx() { services }: ApiContext,
    @Arg('identifier', () => IdentifierInput, { description: 'The identifier, as events carry it.' })
    { namespace, value }: IdentifierInput,
  ): Promise<unknown> {
    return Lifted.attempt(async () => {
      await services.erasures.unsuppress({ ns: namespace, value });
      return { namespace };
    });
  }
}

function targetOf({ profile, identifier }: PersonInput): ErasureTarget {
  if (typeof profile === 'string' && (identifier === null || identifier === undefined)) {
    if (isUuid(profile)) return { profileId: profile };
    throw new WeftError('NOT_FOUND', 'there is no such profile', { where: 'input.profile', hint: 'an id is a UUID' });
  }
  if ((profile === null || profile === undefined) && identifier !== null && identifier !== undefined) {
    return { identifier: { ns: identifier.namespace, value: identifier.value } };
  }
  throw new WeftError('BAD_REQUEST', 'the person is not named exactly once', {
    where: 'input',
    hint: 'give either profile or identifier',
  });
}
