import { Arg, Args, ArgsType, Authorized, Ctx, Field, FieldResolver, Int, Query, Resolver, Root } from 'type-graphql';
import { WeftError } from '../../platform/errors.js';
import type { SegmentPreview } from '../../segments/segment-preview.model.js';
import type { TrialAsk } from '../../segments/segment.service.js';
import type { ApiContext } from './api-context.js';
import { dwellMsOf } from './duration-arguments.js';
import type { ProfileView } from './profile-view.js';
import { Profile } from './profile.types.js';
import { DateTime } from './scalars.js';
import { SegmentPreviewInput, SegmentPreviewType } from './segment-preview.types.js';

@ArgsType()
export class PreviewTimes {
  @Field(() => DateTime, { nullable: true, description: 'Who would be in it then. Default: now.' })
  asOf?: number | null;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'When it would have become active: what it would have done since is told, too; not with `asOf`. Default: only who would be in it is told.',
  })
  from?: number | null;

  @Field(() => DateTime, { nullable: true, description: 'The end of what begins with `from`. Default: now.' })
  to?: number | null;
}

type SampledPreview = Pick<SegmentPreview, 'sample'>;

@Resolver(() => SegmentPreviewType)
export class SegmentPreviewResolver {
  @Authorized('admin')
  @Query(() => SegmentPreviewType, {
    description:
      'Who would be in a segment, and what it would have done: the events of the log are lived through again. Of a sample of people, for at most 20 s; `weft segment preview` looks at all. Nothing is changed.',
  })
  async segmentPreview(
    @Ctx() { services, reads }: ApiContext,
    @Arg('segment', () => SegmentPreviewInput, { description: 'What to preview.' }) segment: SegmentPreviewInput,
    @Args(() => PreviewTimes) times: PreviewTimes,
    @Arg('maxProfiles', () => Int, {
      defaultValue: 2_000,
      description: 'About how many profiles are looked at, drawn at random, always the same; at most 20,000.',
    })
    maxProfiles: number,
    @Arg('flapsAbove', () => Int, { defaultValue: 5, description: 'Profiles with more changes count as flapping.' })
    flapsAbove: number,
  ): Promise<SegmentPreviewType & SampledPreview> {
    reads.countSingleRead('segmentPreview');
    const ask = { segment: trialOf(segment), ...spanOf(times), maxProfiles, flapsAbove };
    const { fromMs, toMs, ...found } = await services.segmentPreviews.preview(ask);
    return { ...found, from: fromMs, to: toMs };
  }

  @FieldResolver(() => [Profile], { description: 'Some of those who would be in it, drawn at random; at most 20.' })
  async sample(@Root() { sample }: SampledPreview, @Ctx() { reads }: ApiContext): Promise<ProfileView[]> {
    const profiles = await Promise.all(sample.map((id) => reads.profile(id)));
    return profiles.filter((profile) => profile !== null);
  }
}

/** @throws WeftError BAD_REQUEST */
export function spanOf({ asOf, from, to }: PreviewTimes): {
  readonly fromMs: number | null;
  readonly toMs: number | null;
} {
  if (asOf != null && (from != null || to != null)) {
    throw refused('asOf', 'an instant and a span cannot both be asked about', 'give asOf, or from and to');
  }
  if (to != null && from == null) throw refused('to', 'a span has no beginning', 'give from, or asOf');
  return { fromMs: from ?? null, toMs: to ?? asOf ?? null };
}

/** @throws WeftError BAD_REQUEST */
export function trialOf({ key, expression, minDwell, purposes, ...more }: SegmentPreviewInput): TrialAsk {
  const { exitExpression = null, activeFrom = null, activeUntil = null } = more;
  if ((key == null) === (expression == null)) {
    throw refused('segment', 'it takes a segment or a condition', 'give key, or expression');
  }
  if (expression != null) {
    return {
      ...{ expression, exitExpression, activeFrom, activeUntil },
      minDwellMs: minDwell == null ? null : dwellMsOf(minDwell),
      purposes: [...new Set(purposes ?? [])].sort(),
    };
  }
  const rest = [exitExpression, minDwell, activeFrom, activeUntil, purposes];
  if (rest.some((each) => each != null))
    throw refused('segment', 'a segment says itself what it asks', 'give key alone');
  return { key: key ?? '' };
}

function refused(where: string, message: string, hint: string): WeftError {
  return new WeftError('BAD_REQUEST', message, { where, hint });
}
