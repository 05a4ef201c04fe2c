import { ArgsType, Field, ID } from 'type-graphql';
import type { ChangeFilter } from '../../activation/change-feed.reader.js';
import { wantedCauses } from '../../activation/change-filter.model.js';
import { WeftError } from '../../platform/errors.js';
import type { CauseKind, ChangeKind } from '../../segments/segment.model.js';
import type { StoredSegment } from '../../segments/segment.reader.js';
import type { ApiContext } from './api-context.js';
import { CHANGE_CURSOR } from './cursors.js';
import { CauseKindType, ChangeKindType } from './enums.js';
import { neededPurposes } from './read-online-features.js';
import type { Reads } from './reads.js';
import { segmentIdsOf } from './segment.resolver.js';

@ArgsType()
export class ChangesArgs {
  @Field(() => [String], {
    nullable: true,
    description:
      'What the changes are for, by keys of purposes, as `personalisation`; at most 10. Only segments whose members have ' +
      'to allow all of these are told of: whoever enters has consented, and whoever withdraws that leaves. A segment that ' +
      'is named and does not need them is refused. Default: nothing is asked for.',
  })
  purposes?: string[] | null;

  @Field(() => [String], { nullable: true, description: 'Keys of segments, at most 100; all segments if left out.' })
  segments?: string[] | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'Only the profile with this id, as `01900000-0000-7000-8000-000000000000`, under every id it has had until now; all profiles if left out.',
  })
  profile?: string | null;

  @Field(() => ChangeKindType, { nullable: true, description: 'Only those who enter, or who leave; both if left out.' })
  kind?: ChangeKind | null;

  @Field(() => [CauseKindType], { nullable: true, description: 'Only changes of these causes; all if left out.' })
  causes?: CauseKind[] | null;

  @Field(() => [CauseKindType], {
    nullable: true,
    description:
      'No changes of these causes, as `[EDIT]` for those of behaviour and time alone; none is left out by default.',
  })
  exceptCauses?: CauseKind[] | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Key of a subscription that is kept here, as `crm_sync`: its filter counts, so no other may be given, and where ' +
      '`after` is left out, changes come from behind what was acknowledged last.',
  })
  subscription?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'The `cursor` of the last change that was dealt with; what comes when it is left out, the field says.',
  })
  after?: string | null;
}

/** What is asked of the feed, with ids. */
export interface AskedChanges {
  readonly filter: ChangeFilter;
  /** What the changes are for; keys of purposes. */
  readonly purposes: readonly string[];
  /** Position that they come behind; undefined: the caller's default. */
  readonly after: number | undefined;
}

/** @throws WeftError NOT_FOUND, BAD_REQUEST, CURSOR_INVALID */
export async function askedChanges(context: ApiContext, args: ChangesArgs): Promise<AskedChanges> {
  const after = typeof args.after === 'string' ? CHANGE_CURSOR.decode(args.after).seq : undefined;
  if (typeof args.subscription !== 'string') {
    return { after, filter: await filterOf(context, args), purposes: neededPurposes(context.reads, args.purposes) };
  }
  const { segments, profile, kind, causes, exceptCauses, purposes } = args;
  const other = Object.entries({ segments, profile, kind, causes, exceptCauses, purposes }).find(
    ([, value]) => value !== null && value !== undefined,
  );
  if (other !== undefined) {
    throw new WeftError('BAD_REQUEST', 'the filter of a subscription that is kept here is kept with it', {
      where: other[0],
      hint: 'leave it out, or make another subscription with createChangeSubscription',
    });
  }
  const { changeSubscriptions } = context.services;
  const subscription = await changeSubscriptions.demand(args.subscription);
  return {
    after: after ?? subscription.seq,
    filter: await changeSubscriptions.filterOf(subscription),
    purposes: subscription.filter.purposes,
  };
}

async function filterOf(
  context: ApiContext,
  { segments, profile, purposes, kind, causes, exceptCauses }: ChangesArgs,
): Promise<ChangeFilter> {
  const needed = neededPurposes(context.reads, purposes);
  const segmentIds =
    needed.length === 0
      ? await segmentIdsOf(context, segments)
      : await consentedSegmentIds(context, segments ?? null, needed);
  const profileIds = typeof profile === 'string' ? await idsOfProfile(context, profile) : undefined;
  const wanted = wantedCauses({ causes: causes ?? null, exceptCauses: exceptCauses ?? [] });
  if (wanted?.length === 0) {
    throw new WeftError('BAD_REQUEST', 'no cause is left', {
      where: 'causes',
      hint: 'name a cause that is not among exceptCauses, or leave one of the two out',
    });
  }
  return {
    ...(segmentIds === undefined ? {} : { segmentIds }),
    ...(profileIds === undefined ? {} : { profileIds }),
    ...(typeof kind === 'string' ? { kinds: [kind] } : {}),
    ...(wanted === undefined ? {} : { causes: wanted }),
  };
}

/** @throws WeftError BAD_REQUEST for a segment whose members need not allow all of these, and where there is no other */
async function consentedSegmentIds(
  context: ApiContext,
  keys: readonly string[] | null,
  needed: readonly string[],
): Promise<number[]> {
  const { reads } = context;
  const hint = `let it need them by purposes: [${needed.join(', ')}] in its definition`;
  if (keys === null) {
    const all = [...reads.definitions.stored.values()].filter((segment) => isFor(reads, segment, needed));
    if (all.length > 0) return all.map(({ id }) => id);
    const message = `there is no segment whose members have to allow ${needed.join(', ')}`;
    throw new WeftError('BAD_REQUEST', message, { where: 'purposes', hint });
  }
  const ids = (await segmentIdsOf(context, keys)) ?? [];
  for (const key of keys) {
    if (isFor(reads, await reads.segment(key), needed)) continue;
    const message = `the members of segment ${key} need not allow ${needed.join(', ')}`;
    throw new WeftError('BAD_REQUEST', message, { where: 'segments', hint });
  }
  return ids;
}

/** Whether all members have to allow these. An archived segment has none any more: what it asked for last counts. */
export function isFor(
  { definitions }: Pick<Reads, 'definitions'>,
  segment: StoredSegment,
  needed: readonly string[],
): boolean {
  const purposes = definitions.segments.byKey.get(segment.key)?.purposes ?? segment.purposes;
  return needed.every((purpose) => purposes.includes(purpose));
}

async function idsOfProfile({ reads, services }: ApiContext, id: string): Promise<string[]> {
  const view = await reads.profile(id);
  if (view !== null) return services.profiles.allIdsOf(services.db, view.id);
  throw new WeftError('NOT_FOUND', 'there is no such profile', { where: 'profile', hint: 'ask for it by identifier' });
}
