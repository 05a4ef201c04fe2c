import type { Warning } from '../../platform/warning.js';
import type { LiveComparison } from '../../segments/segment-preview.model.js';
import { Field, Float, InputType, Int, ObjectType } from 'type-graphql';
import { DateTime } from './scalars.js';
import { DefinitionWarning } from './warning.types.js';

@InputType('SegmentPreviewInput', {
  description: 'What to preview: a segment by its key, or a condition with what goes with it.',
})
export class SegmentPreviewInput {
  @Field(() => String, {
    nullable: true,
    description: 'A segment, as `cart_abandoned`, in the version that was written last; then nothing else is given.',
  })
  key?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'A condition instead of a segment, as `count("purchase", "24h") == 0`.',
  })
  expression?: string | null;

  @Field(() => String, { nullable: true, description: 'The condition on which members leave. Default: none.' })
  exitExpression?: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'How long a member stays at least, as `10m`. Default: no longer than the conditions say.',
  })
  minDwell?: string | null;

  @Field(() => DateTime, { nullable: true, description: 'Nobody is in it before this instant. Default: no beginning.' })
  activeFrom?: number | null;

  @Field(() => DateTime, { nullable: true, description: 'Nobody is in it from this instant on. Default: no end.' })
  activeUntil?: number | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Keys of the purposes that its members have to allow; at most 10. Default: none.',
  })
  purposes?: string[] | null;
}

@ObjectType('SegmentOverlap', { simpleResolvers: true, description: 'What a segment has in common with another one.' })
class SegmentOverlapType {
  @Field(() => String, { description: 'Key of the other segment, as `cart_abandoned`.' })
  key!: string;

  @Field(() => Int, { description: 'How many are in the other one.' })
  size!: number;

  @Field(() => Int, { description: 'How many are in both.' })
  common!: number;

  @Field(() => Float, { description: 'How many are in both, of all who are in either; from 0 to 1 (Jaccard).' })
  jaccard!: number;
}

@ObjectType('SegmentPreviewDay', { simpleResolvers: true, description: 'Changes of one day.' })
class SegmentPreviewDayType {
  @Field(() => DateTime, { description: 'Its first instant, by UTC.' })
  at!: number;

  @Field(() => Int, { description: 'How many times somebody would have entered.' })
  enters!: number;

  @Field(() => Int, { description: 'How many times somebody would have left.' })
  leaves!: number;
}

@ObjectType('SegmentPreviewPeak', { simpleResolvers: true, description: 'When most would have changed.' })
class SegmentPreviewPeakType {
  @Field(() => DateTime, { description: 'Its first instant.' })
  at!: number;

  @Field(() => Int, { description: 'How many changes there would have been.' })
  changes!: number;

  @Field(() => Int, { description: 'How long it is, ms: a second, or of spans over a day a minute.' })
  periodMs!: number;
}

@ObjectType('SegmentPreviewFlapping', { simpleResolvers: true, description: 'Who would have come and gone often.' })
class SegmentPreviewFlappingType {
  @Field(() => Int, { description: 'Profiles with more changes than this count.' })
  above!: number;

  @Field(() => Int, { description: 'How many these are.' })
  profiles!: number;

  @Field(() => Int, { description: 'How many times the one changed that changed most.' })
  mostChanges!: number;
}

@ObjectType('SegmentPreviewLive', {
  simpleResolvers: true,
  description: 'What is live of the segment that is previewed, and what activating would change.',
})
class SegmentPreviewLiveType {
  @Field(() => Int, { description: 'How many are in what is live.' })
  size!: number;

  @Field(() => Int, { description: 'How many would enter.' })
  entering!: number;

  @Field(() => Int, { description: 'How many would leave.' })
  leaving!: number;
}

@ObjectType('SegmentPreviewSpan', {
  simpleResolvers: true,
  description: 'What the feed would have been told, had the segment become active at the beginning of the span.',
})
class SegmentPreviewSpanType {
  @Field(() => Int, { description: 'How many would have entered by its becoming active.' })
  initialSize!: number;

  @Field(() => Int, { description: 'How many times somebody would have entered since.' })
  enters!: number;

  @Field(() => Int, { description: 'How many times somebody would have left since.' })
  leaves!: number;

  @Field(() => Int, { description: 'Changes by loads of history, which the feed is not told; in no other number.' })
  silent!: number;

  @Field(() => [SegmentPreviewDayType], { description: 'By day, those without changes left out; at most 368.' })
  days!: readonly SegmentPreviewDayType[];

  @Field(() => SegmentPreviewPeakType, { nullable: true, description: 'The busiest time; null: nothing changed.' })
  peak!: SegmentPreviewPeakType | null;

  @Field(() => SegmentPreviewFlappingType, { description: 'Who would have come and gone often.' })
  flapping!: SegmentPreviewFlappingType;
}

/** `sample` is resolved: see `segment-preview.resolver.ts`. */
@ObjectType('SegmentPreview', {
  simpleResolvers: true,
  description:
    'Who would be in a segment, and what it would have done, worked out from the log by what decides memberships. All numbers are of the profiles that were looked at: divided by `share` they are those of everybody, about.',
})
export class SegmentPreviewType {
  @Field(() => DateTime, { nullable: true, description: 'When it would have become active; null: no span was asked.' })
  from!: number | null;

  @Field(() => DateTime, { description: 'The last instant that counts.' })
  to!: number;

  @Field(() => Int, { description: 'How many profiles there are.' })
  profilesTotal!: number;

  @Field(() => Int, { description: 'How many were looked at that were known by then.' })
  profilesSeen!: number;

  @Field(() => Float, { description: 'Which part of all people these are, above 0 and up to 1.' })
  share!: number;

  @Field(() => Float, { description: 'How many events were lived through.' })
  eventsRead!: number;

  @Field(() => Int, { description: 'How many would be in it at the end.' })
  size!: number;

  @Field(() => [SegmentOverlapType], {
    description: 'Active segments that have members in common with it, those with most of all first; at most 20.',
  })
  overlaps!: readonly SegmentOverlapType[];

  @Field(() => SegmentPreviewLiveType, {
    nullable: true,
    description: 'What is live of the same segment; null: nothing is, it remembers, or a condition was asked about.',
  })
  live!: LiveComparison | null;

  @Field(() => [DefinitionWarning], {
    description: 'Why it may be one segment too many: another one has nearly the same members, or few would be in it.',
  })
  warnings!: readonly Warning[];

  @Field(() => SegmentPreviewSpanType, { nullable: true, description: 'What it would have done; null: no span.' })
  span!: SegmentPreviewSpanType | null;

  @Field(() => [String], {
    description: 'In what this is not as it would have been, and why, in sentences for people; at most one of a kind.',
  })
  notes!: readonly string[];
}
