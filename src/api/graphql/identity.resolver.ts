import { Arg, Authorized, Ctx, ID, Int, Mutation, Query, Resolver } from 'type-graphql';
import type { RawIdentifier } from '../../events/event.model.js';
import { IdentityDecisionReader } from '../../identity/identity-decision.reader.js';
import type {
  IdentityRevisionRecord,
  MergeInput,
  RevisionInputOf,
  UnmergeInput,
} from '../../identity/identity-revision.model.js';
import { WeftError } from '../../platform/errors.js';
import { isUuid, type Uuid } from '../../platform/ids.js';
import type { IdentityPreview } from '../../segments/identity-preview.model.js';
import { SegmentReader } from '../../segments/segment.reader.js';
import { nameOf, type Principal } from '../auth/api-key.model.js';
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
import { cursorId, LINK_CURSOR, REVISION_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import {
  IdentityLinkRemovalType,
  IdentityPreviewType,
  ProfileMergeInput,
  ProfileMergeType,
  ProfileUnmergeInput,
  ProfileUnmergeType,
} from './identity-decision.types.js';
import {
  identifierView,
  IdentityLinkConnection,
  IdentityRevisionConnection,
  IdentityRevisionType,
  linkView,
  revisionView,
  type IdentityLinkType,
} from './identity.types.js';
import type { IdentifierInput } from './profile.types.js';

/** How long a mutation waits for a worker. */
const WAIT_MS = 5_000;
/** Of each list of a preview. */
const MAX_TOLD = 500;
/** Links that are named beside one that is removed. */
const MAX_NAMED_LINKS = 5;
const DAY_MS = 24 * 60 * 60 * 1_000;

const Merged = resultUnion<ProfileMergeType>('MergeProfilesResult', { type: ProfileMergeType, name: 'ProfileMerge' }, [
  'BadRequest',
  'NotFound',
  'Conflict',
  'PayloadTooLarge',
]);
const Unmerged = resultUnion<ProfileUnmergeType>(
  'UnmergeProfileResult',
  { type: ProfileUnmergeType, name: 'ProfileUnmerge' },
  ['BadRequest', 'NotFound', 'Conflict', 'PayloadTooLarge'],
);
const Unlinked = resultUnion<IdentityLinkRemovalType>(
  'RemoveIdentityLinkResult',
  { type: IdentityLinkRemovalType, name: 'IdentityLinkRemoval' },
  ['BadRequest', 'NotFound', 'Conflict'],
);

/** What people decide about who is who, before and after. */
@Resolver()
export class IdentityResolver {
  @Authorized('admin')
  @Mutation(() => Merged.type, {
    description:
      'Makes profiles one, whatever the evidence says or will say; the oldest keeps its id, the others lead to it. Waits some seconds for a worker; see `mergePreview` for what it would do.',
  })
  mergeProfiles(
    @Ctx() context: ApiContext,
    @Arg('input', () => ProfileMergeInput, { description: 'Who is one person, and why.' }) input: ProfileMergeInput,
  ): Promise<unknown> {
    return Merged.attempt(async () => {
      const decided = await decide(context, { kind: 'merge', input: mergeOf(input) }, input.reason);
      return {
        profile: await profileOf(context, decided),
        merged: decided.result?.merged ?? [],
        revision: revisionView(decided),
      };
    });
  }

  @Authorized('admin')
  @Mutation(() => Unmerged.type, {
    description:
      'Takes identifiers out of a profile, whatever the evidence says or will say: what they were before they came to it gets its old id back. Waits some seconds for a worker; see `unmergePreview` for what it would do.',
  })
  unmergeProfile(
    @Ctx() context: ApiContext,
    @Arg('input', () => ProfileUnmergeInput, { description: 'Who is somebody else, and why.' })
    input: ProfileUnmergeInput,
  ): Promise<unknown> {
    return Unmerged.attempt(async () => {
      const decided = await decide(context, { kind: 'unmerge', input: unmergeOf(input) }, input.reason);
      return {
        profile: await profileOf(context, decided),
        apart: decided.result?.apart ?? [],
        revision: revisionView(decided),
      };
    });
  }

  @Authorized('admin')
  @Mutation(() => Unlinked.type, {
    description: 'Takes back what somebody said of two identifiers: from then on the evidence decides on them.',
  })
  removeIdentityLink(
    @Ctx() context: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the link, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
    @Arg('reason', () => String, {
      defaultValue: '',
      description: 'Why, for whoever asks later; at most 1,000 characters.',
    })
    reason: string,
  ): Promise<unknown> {
    return Unlinked.attempt(async () => {
      const link = demandUuid(id, 'id', 'there is no such link');
      const revision = revisionView(await decide(context, { kind: 'unlink', input: { link } }, reason));
      const barring = await new IdentityDecisionReader().othersBarring(context.services.db, link);
      const examples = barring.slice(0, MAX_NAMED_LINKS).map(linkView);
      return { revision, othersBarring: barring.length, examples };
    });
  }

  @Authorized('admin')
  @Query(() => IdentityPreviewType, {
    description: 'What `mergeProfiles` would do as things are; its `reason` counts not.',
  })
  async mergePreview(
    @Ctx() context: ApiContext,
    @Arg('input', () => ProfileMergeInput, { description: 'Who is one person.' }) input: ProfileMergeInput,
  ): Promise<IdentityPreviewType> {
    context.reads.countOnce('mergePreview');
    const { services, reads } = context;
    const asked = { kind: 'merge', input: mergeOf(input) } as const;
    return previewView(context, await services.identity.previews.preview(reads.definitions, asked));
  }

  @Authorized('admin')
  @Query(() => IdentityPreviewType, {
    description: 'What `unmergeProfile` would do as things are; its `reason` counts not.',
  })
  async unmergePreview(
    @Ctx() context: ApiContext,
    @Arg('input', () => ProfileUnmergeInput, { description: 'Who is somebody else.' }) input: ProfileUnmergeInput,
  ): Promise<IdentityPreviewType> {
    context.reads.countOnce('unmergePreview');
    const { services, reads } = context;
    const asked = { kind: 'unmerge', input: unmergeOf(input) } as const;
    return previewView(context, await services.identity.previews.preview(reads.definitions, asked));
  }

  @Authorized('admin')
  @Query(() => IdentityRevisionType, { nullable: true, description: 'One revision; null: there is none with this id.' })
  async identityRevision(
    @Ctx() { services, reads }: ApiContext,
    @Arg('id', () => ID, { description: 'Id of the revision, as `01900000-0000-7000-8000-000000000000`.' }) id: string,
  ): Promise<IdentityRevisionType | null> {
    reads.countSingleRead('identityRevision');
    const found = isUuid(id) ? await services.identity.revisions.find(id) : null;
    return found === null ? null : revisionView(found);
  }

  @Authorized('admin')
  @Query(() => IdentityRevisionConnection, {
    description: 'What changed who is who without an event, the newest first.',
  })
  async identityRevisions(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<IdentityRevisionType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('identityRevisions');
    const place = typeof after === 'string' ? REVISION_CURSOR.decode(after) : null;
    const before = place === null ? null : { createdAt: place.at, id: cursorId(place.id) };
    const revisions = await services.identity.revisions.page(before, limit + 1);
    const edges = revisions.map((revision) => ({
      cursor: REVISION_CURSOR.encode({ at: revision.createdAt, id: revision.id }),
      node: revisionView(revision),
    }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Query(() => IdentityLinkConnection, { description: 'What people said of who is who, the newest first.' })
  async identityLinks(
    @Ctx() { services, reads }: ApiContext,
    @Arg('withRemoved', () => Boolean, { defaultValue: false, description: 'Whether removed ones are told too.' })
    withRemoved: boolean,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<IdentityLinkType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('identityLinks');
    const place = typeof after === 'string' ? LINK_CURSOR.decode(after) : null;
    const before = place === null ? null : { createdAt: place.at, id: cursorId(place.id) };
    const links = await new IdentityDecisionReader().links(services.db, { before, limit: limit + 1, withRemoved });
    const edges = links.map((link) => ({
      cursor: LINK_CURSOR.encode({ at: link.createdAt, id: link.id }),
      node: linkView(link),
    }));
    return connection(edges, limit, after);
  }
}

async function decide(
  { services, principal }: ApiContext,
  revision: RevisionInputOf,
  reason: string,
): Promise<IdentityRevisionRecord> {
  const { revisions } = services.identity;
  const { id } = await revisions.request(revision, { actor: actorOf(principal), reason });
  return revisions.settled(id, { timeoutMs: WAIT_MS });
}

/** Who asks, for people to read and to look up. */
export function actorOf(principal: Principal): string {
  const name = nameOf(principal);
  return name === principal.id ? name : `${name} (${principal.id})`;
}

async function profileOf(
  context: ApiContext,
  { result }: IdentityRevisionRecord,
): Promise<ProfileMergeType['profile']> {
  return result?.profileId == null ? null : context.freshReads().profile(result.profileId);
}

function mergeOf({ profiles, identifiers }: ProfileMergeInput): MergeInput {
  if (Array.isArray(profiles) && !Array.isArray(identifiers)) {
    return { profiles: profiles.map((id) => demandUuid(id, 'input.profiles', 'there is no such profile')) };
  }
  if (Array.isArray(identifiers) && !Array.isArray(profiles)) return { identifiers: rawOf(identifiers) };
  throw new WeftError('BAD_REQUEST', 'a merge is of profiles or of identifiers', {
    where: 'input',
    hint: 'give exactly one of the two',
  });
}

function unmergeOf({ profile, identifiers, merge }: ProfileUnmergeInput): UnmergeInput {
  const isOfMerge = typeof merge === 'string';
  if (isOfMerge && typeof profile !== 'string' && !Array.isArray(identifiers)) {
    return { move: demandUuid(merge, 'input.merge', 'there is no such merge') };
  }
  if (!isOfMerge && typeof profile === 'string' && Array.isArray(identifiers)) {
    return {
      profile: demandUuid(profile, 'input.profile', 'there is no such profile'),
      identifiers: rawOf(identifiers),
    };
  }
  throw new WeftError('BAD_REQUEST', 'who is taken out is said by identifiers of a profile, or by a merge', {
    where: 'input',
    hint: 'give profile and identifiers, or merge alone',
  });
}

function rawOf(identifiers: readonly IdentifierInput[]): RawIdentifier[] {
  return identifiers.map(({ namespace, value }) => ({ ns: namespace, value }));
}

/** @throws WeftError NOT_FOUND: nothing has an id of another form */
function demandUuid(id: string, where: string, message: string): Uuid {
  if (isUuid(id)) return id.toLowerCase();
  throw new WeftError('NOT_FOUND', message, { where });
}

async function previewView(
  { services, reads }: ApiContext,
  { result, profiles, changes, brokenLimits }: IdentityPreview,
): Promise<IdentityPreviewType> {
  const ids = [...new Set(changes.map(({ segmentId }) => segmentId))];
  const segments = new Map((await new SegmentReader(services.db).byIds(ids)).map((segment) => [segment.id, segment]));
  const isNew = new Set(profiles.filter((profile) => profile.isNew).map(({ id }) => id));
  const known = (id: Uuid): Uuid | null => (isNew.has(id) ? null : id);
  return {
    profiles: profiles.slice(0, MAX_TOLD).map(({ id, mergedInto, identifiers, traits }) => ({
      id: known(id),
      mergedInto,
      identifiers: identifiers.slice(0, MAX_TOLD).map(identifierView),
      traits: traits.slice(0, MAX_TOLD).map(({ name, before, after, sourceId, occurredAt }) => ({
        name,
        valueNow: before ?? null,
        valueThen: after ?? null,
        source: sourceId === null ? null : (reads.definitions.sourceKeys.get(sourceId) ?? ''),
        occurredAt,
      })),
    })),
    changes: changes.slice(0, MAX_TOLD).flatMap(({ profileId, segmentId, kind }) => {
      const segment = segments.get(segmentId);
      return segment === undefined ? [] : [{ profileId: known(profileId), segment, kind }];
    }),
    brokenLimits: brokenLimits.map(({ windowMs, ...limit }) => ({
      ...limit,
      windowDays: windowMs === null ? null : Math.ceil(windowMs / DAY_MS),
    })),
    linksAdded: result.linksAdded,
    linksRemoved: result.linksRemoved,
  };
}
