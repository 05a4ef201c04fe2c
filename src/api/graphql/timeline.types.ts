import { ArgsType, Field, ID, InputType, Int, InterfaceType, ObjectType, type ClassType } from 'type-graphql';
import { AFTER, connectionTypes, DEFAULT_PAGE_SIZE, FIRST } from './connection.types.js';
import { enumOf, EventTypeType } from './enums.js';
import { MergeHistoryEntryType } from './identity.types.js';
import { IdentifierType } from './profile.types.js';
import { DateTime, Json } from './scalars.js';

export const TIMELINE_KINDS = ['event', 'record', 'merge', 'split'] as const;
export type TimelineKind = (typeof TIMELINE_KINDS)[number];

const TimelineKindType = enumOf('TimelineKind', 'What an entry of a timeline is.', TIMELINE_KINDS, {
  event: 'Something that a source sent.',
  record: 'A row of a file that was loaded.',
  merge: 'The profile took in another one, or became part of one.',
  split: 'Identifiers left the profile, or came to it from one that lives on.',
});

/** What stands on a timeline. */
@InterfaceType('TimelineEntry', {
  description: 'Something that happened to a profile.',
  resolveType: (entry: object) => ('merge' in entry ? 'TimelineMerge' : 'TimelineEvent'),
})
export abstract class TimelineEntry {
  @Field(() => TimelineKindType, { description: 'What it is: an event, a row, a merge or a split.' })
  kind!: TimelineKind;

  @Field(() => DateTime, { description: 'When it happened.' })
  occurredAt!: number;

  @Field(() => String, {
    nullable: true,
    description: 'Key of the source that it is from, as `web`; null for what no event brought about.',
  })
  source!: string | null;
}

@ObjectType('TimelineEvent', {
  implements: TimelineEntry,
  simpleResolvers: true,
  description: 'An event of a profile, or a row of a file that was loaded.',
})
export class TimelineEvent extends TimelineEntry {
  @Field(() => String, { description: 'Unique within its source.' })
  messageId!: string;

  @Field(() => EventTypeType, { description: 'The kind of the event.' })
  type!: string;

  @Field(() => String, { description: 'For `TRACK` the name of the event, else the type.' })
  name!: string;

  @Field(() => String, { description: 'Key of the source that sent it, as `web`.' })
  declare source: string;

  @Field(() => DateTime, { description: 'When it was accepted.' })
  acceptedAt!: number;

  @Field(() => Boolean, { description: 'Whether it was loaded as history.' })
  historical!: boolean;

  @Field(() => [IdentifierType], { description: 'The identifiers that it came with, at most 32.' })
  identifiers!: readonly IdentifierType[];

  @Field(() => Json, { description: 'What was sent along.' })
  properties!: unknown;

  @Field(() => ID, {
    nullable: true,
    description: 'The load that it is a row of, as `01900000-0000-7000-8000-000000000000`; null: of none.',
  })
  load!: string | null;

  @Field(() => [String], {
    description:
      'What it violates of the tracking plan of its source, as `missing_property properties.total`; at most 20.',
  })
  violations!: readonly string[];
}

@ObjectType('TimelineMerge', {
  implements: TimelineEntry,
  simpleResolvers: true,
  description: 'Identifiers that went over to the profile, or left it.',
})
export class TimelineMerge extends TimelineEntry {
  @Field(() => MergeHistoryEntryType, { description: 'From where to where, and why.' })
  merge!: MergeHistoryEntryType;
}

export const TimelineConnection = connectionTypes<TimelineEntry>(
  TimelineEntry as unknown as ClassType<TimelineEntry>,
  'TimelineEntry',
);

@InputType('TimelineFilter', { description: 'What is wanted of a timeline. All that is given has to be true.' })
export class TimelineFilterInput {
  @Field(() => [TimelineKindType], {
    nullable: true,
    description:
      'Only entries of these kinds; default: all, but no merges and splits where types, names or sources are given.',
  })
  kinds?: readonly TimelineKind[] | null;

  @Field(() => [EventTypeType], { nullable: true, description: 'Only events and rows of these types.' })
  types?: readonly string[] | null;

  @Field(() => [String], { nullable: true, description: 'Only events and rows of these names, at most 100.' })
  names?: readonly string[] | null;

  @Field(() => [String], {
    nullable: true,
    description: 'Only events and rows of these sources, by key, as `["web", "crm"]`, at most 100.',
  })
  sources?: readonly string[] | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'Only what happened from this instant on, as `2026-01-31T12:00:00Z`.',
  })
  from?: number | null;

  @Field(() => DateTime, {
    nullable: true,
    description: 'Only what happened before this instant, as `2026-01-31T12:00:00Z`.',
  })
  to?: number | null;
}

@ArgsType()
export class TimelineArgs {
  @Field(() => TimelineFilterInput, { nullable: true, description: 'What is wanted; default: everything.' })
  filter?: TimelineFilterInput | null;

  @Field(() => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST })
  first!: number;

  @Field(() => String, { nullable: true, description: AFTER })
  after?: string | null;

  @Field(() => Int, {
    nullable: true,
    description:
      'How many of the oldest at most, 1 to 500, or of those before `before`; default: as many as `first` says.',
  })
  last?: number | null;

  @Field(() => String, {
    nullable: true,
    description:
      'The cursor to go back from, as `WyJ0aW1lbGluZS4yIiwxXQ`: `pageInfo.startCursor` of the page behind. Default: from the end.',
  })
  before?: string | null;
}
