import DataLoader from 'dataloader';
import {
  Arg,
  Authorized,
  Ctx,
  Field,
  FieldResolver,
  InputType,
  Int,
  Mutation,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import { MemberReader } from '../../segments/member.reader.js';
import type { ChangeCause } from '../../segments/segment.model.js';
import { SegmentReader, type StoredSegment } from '../../segments/segment.reader.js';
import type { SegmentDraft } from '../../segments/segment-rule.model.js';
import { MAX_SEGMENT_VERSION, SegmentVersionReader } from '../../segments/segment-version.reader.js';
import { durationText } from '../../platform/duration.js';
import { WeftError } from '../../platform/errors.js';
import type { Warning } from '../../platform/warning.js';
import { nameOf } from '../auth/api-key.model.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageByKey,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorId, damagedCursor, MEMBER_CURSOR, SEGMENT_CURSOR, SEGMENT_VERSION_CURSOR } from './cursors.js';
import { dwellMsOf } from './duration-arguments.js';
import { resultUnion } from './failure.types.js';
import type { ProfileView } from './profile-view.js';
import { SegmentConnection, SegmentMemberConnection } from './profile.types.js';
import { DateTime } from './scalars.js';
import { Segment, SegmentVersionConnection, type SegmentVersionType } from './segment.types.js';
import { DefinitionWarning } from './warning.types.js';

@InputType('SegmentInput', { description: 'A segment as its author writes it.' })
class SegmentInput {
  @Field(() => String, {
    description:
      'What it will be called by, as `cart_abandoned`: lower-case letters, digits and underscores, starting with a letter.',
  })
  key!: string;

  @Field(() => String, { description: 'What people call it, as "Cart abandoned".' })
  name!: string;

  @Field(() => String, {
    description: 'The condition, in the language of segments, as `count("purchase", "24h") == 0`.',
  })
  expression!: string;

  @Field(() => String, { defaultValue: '', description: 'What it is for, in words for people.' })
  description!: string;

  @Field(() => [String], { defaultValue: [], description: 'Free labels, at most 50.' })
  tags!: string[];

  @Field(() => Boolean, {
    nullable: true,
    description:
      'Whether edge keys, which sit in browsers, may be told who is in it. Default: as it is, false for a new segment.',
  })
  edge?: boolean | null;

  @Field(() => [String], {
    nullable: true,
    description:
      'Keys of the purposes that its members have to allow, as `personalisation`; at most 10. Default: as it is, none ' +
      'for a new segment.',
  })
  purposes?: string[] | null;

  @Field(() => String, {
    nullable: true,
    description:
      'The condition on which members leave; until it is true they stay, whatever `expression` says. `null`: they leave ' +
      'once `expression` is not true any more. Left out: as it is, `null` for a new segment.',
  })
  exitExpression?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'How long a member stays at least, as `10m`, at most `365d`; `null`: no longer than the conditions say. Left out: as ' +
      'it is, `null` for a new segment.',
  })
  minDwell?: string | null;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'Nobody is in it before this instant; `null`: it has no beginning. Left out: as it is, `null` for a new segment.',
  })
  activeFrom?: number | null;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'Nobody is in it from this instant on; `null`: it has no end. Left out: as it is, `null` for a new segment.',
  })
  activeUntil?: number | null;
}

/** A purpose that is named twice is needed once; what was left out of the input is left out. */
function draftOf({ edge, purposes, minDwell, ...given }: SegmentInput): SegmentDraft {
  return {
    ...given,
    ...(typeof edge === 'boolean' ? { edge } : {}),
    ...(purposes == null ? {} : { purposes: [...new Set(purposes)].sort() }),
    ...(minDwell === undefined ? {} : { minDwellMs: minDwell === null ? null : dwellMsOf(minDwell) }),
  };
}

const segmentType = { type: Segment, name: 'Segment' };
const Upserted = resultUnion<StoredSegment>('UpsertSegmentResult', segmentType, ['BadRequest', 'InvalidDefinition']);
const Activated = resultUnion<StoredSegment>('ActivateSegmentResult', segmentType, ['NotFound', 'InvalidDefinition']);
const Restored = resultUnion<StoredSegment>('RestoreSegmentVersionResult', segmentType, [
  'NotFound',
  'BadRequest',
  'InvalidDefinition',
]);
const Archived = resultUnion<StoredSegment>('ArchiveSegmentResult', segmentType, ['NotFound', 'Conflict']);

interface MemberEdge extends Edge<ProfileView> {
  readonly since: number;
  readonly version: number;
  readonly cause: ChangeCause;
}

@Resolver(() => Segment)
export class SegmentResolver {
  @Authorized('read')
  @Query(() => Segment, { nullable: true, description: 'The segment with a key; null if there is none.' })
  async segment(
    @Ctx() { services }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the segment, as `cart_abandoned`.' }) key: string,
  ): Promise<StoredSegment | null> {
    return new SegmentReader(services.db).byKey(key);
  }

  @Authorized('read')
  @Query(() => SegmentConnection, { description: 'All segments, by key.' })
  async segments(
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<StoredSegment>>> {
    const from = typeof after === 'string' ? SEGMENT_CURSOR.decode(after).key : null;
    const page = await new SegmentReader(services.db).page(from, pageSize(first) + 1);
    return pageByKey(page, (segment) => segment.key, SEGMENT_CURSOR, { first, after });
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'How long a member stays at least, as `10m`; null: no longer than the conditions say.',
  })
  minDwell(@Root() { minDwellMs }: StoredSegment): string | null {
    return minDwellMs === null ? null : durationText(minDwellMs);
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'The condition that decides membership; null if none does.',
  })
  activeExpression(@Root() { activeRule }: StoredSegment): string | null {
    return activeRule?.expression ?? null;
  }

  @FieldResolver(() => Int, { description: 'How many profiles belong to it now.' })
  size(@Root() segment: StoredSegment, @Ctx() { reads }: ApiContext): Promise<number> {
    return reads.segmentSize(segment.id);
  }

  @FieldResolver(() => SegmentMemberConnection, { description: 'Who belongs to it, those who entered last first.' })
  async members(
    @Root() segment: StoredSegment,
    @Ctx() { reads, services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<MemberEdge>> {
    const limit = pageSize(first);
    reads.countSingleRead('members');
    const from = typeof after === 'string' ? MEMBER_CURSOR.decode(after) : null;
    if (from !== null) cursorId(from.profileId);
    const members = await new MemberReader(services.db).page(segment.id, from, limit + 1);
    const profiles = await Promise.all(members.map(({ profileId }) => reads.profile(profileId)));
    const edges = members.flatMap(({ since, profileId, version, cause }, i): MemberEdge[] => {
      const node = profiles[i];
      if (node === null || node === undefined) return [];
      return [{ cursor: MEMBER_CURSOR.encode({ since, profileId }), node, since, version, cause }];
    });
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @FieldResolver(() => SegmentVersionConnection, {
    description: 'What it has said, when and by whom, the newest version first.',
  })
  async versions(
    @Root() segment: StoredSegment,
    @Ctx() { reads, services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<SegmentVersionType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('versions');
    const before = typeof after === 'string' ? SEGMENT_VERSION_CURSOR.decode(after).version : MAX_SEGMENT_VERSION;
    if (before < 1 || before > MAX_SEGMENT_VERSION) throw damagedCursor();
    const versions = await new SegmentVersionReader(services.db).page(segment.id, before, limit + 1);
    const edges = versions.map(({ minDwellMs, ...each }) => ({
      cursor: SEGMENT_VERSION_CURSOR.encode({ version: each.version }),
      node: { ...each, minDwell: minDwellMs === null ? null : durationText(minDwellMs) },
    }));
    return connection(edges, limit, after);
  }

  @FieldResolver(() => [DefinitionWarning], {
    description:
      'What is probably not meant: names in the condition that was written last which nothing has sent so far, another segment that has nearly the same members or says the same, and few members for 7 days.',
  })
  warnings(@Root() segment: StoredSegment, @Ctx() context: ApiContext): Promise<readonly Warning[]> {
    return questionsOf(context).load(segment);
  }

  @Authorized('admin')
  @Mutation(() => Upserted.type, {
    description: 'Creates a segment, or writes a new version of it. What is live stays live until it is activated.',
  })
  upsertSegment(
    @Ctx() { services, watch, principal }: ApiContext,
    @Arg('segment', () => SegmentInput, { description: 'What to write.' }) segment: SegmentInput,
  ): Promise<unknown> {
    return Upserted.attempt(async () => {
      const written = await services.segments.upsert(draftOf(segment), nameOf(principal));
      await watch.reload();
      return written;
    });
  }

  @Authorized('admin')
  @Mutation(() => Restored.type, {
    description:
      'Writes what an older version of a segment said as a new one. What is live stays live until it is activated.',
  })
  restoreSegmentVersion(
    @Ctx() { services, watch, principal }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the segment, as `cart_abandoned`.' }) key: string,
    @Arg('version', () => Int, { description: 'The version to go back to.' }) version: number,
  ): Promise<unknown> {
    return Restored.attempt(async () => {
      const restored = await services.segments.restore(key, version, nameOf(principal));
      await watch.reload();
      return restored;
    });
  }

  @Authorized('admin')
  @Mutation(() => Activated.type, { description: 'Makes the version that was written last decide membership.' })
  activateSegment(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the segment, as `cart_abandoned`.' }) key: string,
  ): Promise<unknown> {
    return Activated.attempt(async () => {
      const activated = await services.segments.activate(key);
      await watch.reload();
      return activated;
    });
  }

  @Authorized('admin')
  @Mutation(() => Archived.type, { description: 'Takes a segment out of service: its members leave.' })
  archiveSegment(
    @Ctx() { services, watch }: ApiContext,
    @Arg('key', () => String, { description: 'Key of the segment, as `cart_abandoned`.' }) key: string,
  ): Promise<unknown> {
    return Archived.attempt(async () => {
      const archived = await services.segments.archive(key);
      await watch.reload();
      return archived;
    });
  }
}

const questions = new WeakMap<ApiContext, DataLoader<StoredSegment, readonly Warning[]>>();

/** All the conditions of a request are held against the names at once. */
function questionsOf(context: ApiContext): DataLoader<StoredSegment, readonly Warning[]> {
  let loader = questions.get(context);
  if (loader === undefined) {
    loader = new DataLoader(async (segments) => {
      const { segments: service, segmentGuards } = context.services;
      const [names, guarded] = await Promise.all([service.questions(segments), segmentGuards.warnings(segments)]);
      return segments.map((_, i) => [...(names[i] ?? []), ...(guarded[i] ?? [])]);
    });
    questions.set(context, loader);
  }
  return loader;
}

/** Ids of the segments with these keys, archived ones too; undefined: all. @throws WeftError NOT_FOUND, BAD_REQUEST */
export async function segmentIdsOf(
  { reads }: ApiContext,
  keys: readonly string[] | null | undefined,
): Promise<number[] | undefined> {
  if (keys === null || keys === undefined) return undefined;
  if (keys.length > 0 && keys.length <= 100) {
    return (await Promise.all(keys.map(async (key) => reads.segment(key)))).map(({ id }) => id);
  }
  throw new WeftError('BAD_REQUEST', 'a list of segments has 1 to 100 keys', {
    where: 'segments',
    hint: 'leave it out for all segments',
  });
}
