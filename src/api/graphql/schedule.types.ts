import { Field, Float, ID, InputType, Int, ObjectType } from 'type-graphql';
import type { JsonValue } from '../../events/event.model.js';
import type { RunStatus, RunTrigger, ScheduleRun } from '../../schedules/schedule.model.js';
import type { ListedSchedule } from '../../schedules/schedule.reader.js';
import { connectionTypes } from './connection.types.js';
import { ScheduleRunStatusType, ScheduleRunTriggerType } from './enums.js';
import { DateTime, Json } from './scalars.js';

@ObjectType('ScheduleRun', { simpleResolvers: true, description: 'One time that a schedule ran, or is to run.' })
export class ScheduleRunType {
  @Field(() => ID, { description: 'What tells it from others, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => ScheduleRunTriggerType, { description: 'Whether it was due or asked for.' })
  trigger!: RunTrigger;

  @Field(() => ScheduleRunStatusType, { description: 'Where it stands.' })
  status!: RunStatus;

  @Field(() => DateTime, { description: 'The due time that it is of; of one that was asked for, when that was.' })
  dueAt!: number;

  @Field(() => Int, { description: 'For how many earlier due times no process was there; this run makes up for them.' })
  missed!: number;

  @Field(() => Int, { description: 'How many due times came while it was not over; they are left out.' })
  overlapped!: number;

  @Field(() => Int, { description: 'How many attempts were begun.' })
  attempts!: number;

  @Field(() => DateTime, { description: 'When its next attempt may begin, or could have begun.' })
  notBefore!: number;

  @Field(() => DateTime, { nullable: true, description: 'When its latest attempt began; null before the first.' })
  startedAt!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was over; null while it is not.' })
  finishedAt!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: 'How many files, of loads, or how many people are done; null while that is not known.',
  })
  done!: number | null;

  @Field(() => Float, { nullable: true, description: 'How many there are in all; null while that is not known.' })
  total!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'What was done, as `rows 250: 250 accepted, 0 duplicates, 0 refused`; null while that is unknown.',
  })
  note!: string | null;

  @Field(() => Json, {
    nullable: true,
    description: 'The same as `{ "rows": 250, "accepted": 250 }`, by kind of schedule; null while it is unknown.',
  })
  result!: JsonValue;

  @Field(() => String, {
    nullable: true,
    description: 'Code of the error of its latest attempt, as `UNAVAILABLE`; null unless that failed.',
  })
  errorCode!: string | null;

  @Field(() => String, { nullable: true, description: 'What that error says, and how to mend it; null without one.' })
  errorMessage!: string | null;
}

@ObjectType('Schedule', { description: 'Work that is done by the clock.' })
export class ScheduleType {
  @Field(() => ID, { description: 'What it is called, as `crm_hourly`.' })
  key!: string;

  @Field(() => String, { description: 'The kind of work, as `load`.' })
  kind!: string;

  @Field(() => String, { description: 'Minute, hour, day, month and weekday, as `0 6 * * *`, or a word as `@daily`.' })
  cron!: string;

  @Field(() => String, { description: 'The time zone in whose local time that is, as `Europe/Berlin`.' })
  zone!: string;

  @Field(() => Boolean, { description: 'Whether nothing comes due until it is resumed.' })
  paused!: boolean;

  @Field(() => DateTime, { nullable: true, description: 'Its next due time; null where none will come.' })
  nextDueAt!: number | null;

  @Field(() => Int, { description: 'How many attempts a run has at most, the first included.' })
  maxAttempts!: number;

  @Field(() => DateTime, { description: 'When it was made.' })
  createdAt!: number;

  @Field(() => ScheduleRunType, { nullable: true, description: 'Its latest run, over or not; null: it never ran.' })
  lastRun!: ScheduleRun | null;
}

@ObjectType('ScheduleRemoved', { simpleResolvers: true, description: 'A schedule that was removed with its history.' })
export class ScheduleRemoved {
  @Field(() => ID, { description: 'What it was called, as `crm_hourly`.' })
  key!: string;
}

/** What all schedules that are made have in common. */
@InputType()
export abstract class TimedInput {
  @Field(() => String, { description: 'What it is to be called, as `nightly`.' })
  key!: string;

  @Field(() => String, {
    description: 'Minute, hour, day, month and weekday, as `0 6 * * *`, or `@hourly`, `@daily`, `@weekly`, `@monthly`.',
  })
  cron!: string;

  @Field(() => String, { defaultValue: 'UTC', description: 'The time zone of `cron`, as `Europe/Berlin`.' })
  zone!: string;

  @Field(() => Int, { nullable: true, description: 'How many attempts a run has at most, 1 to 10; default: 3.' })
  maxAttempts?: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'When an attempt is stopped: a number and `s`, `m`, `h` or `d`, as in `6h`, which is the default.',
  })
  timeout?: string | null;
}

@InputType('RecomputeScheduleInput', { description: 'A schedule to be made, which has everybody evaluated anew.' })
export class RecomputeScheduleInput extends TimedInput {
  @Field(() => [String], {
    defaultValue: [],
    description: 'Keys of the segments whose changes are counted, as `buyers`; at most 100, none: all.',
  })
  segments!: string[];
}

@InputType('RefreshScheduleInput', {
  description: 'A schedule to be made, which has everybody evaluated anew for the segments that ask models.',
})
export class RefreshScheduleInput extends TimedInput {
  @Field(() => [String], {
    defaultValue: [],
    description: 'Keys of the models, as `churn`; at most 100, none: all that segments ask when it is due.',
  })
  models!: string[];
}

@InputType('SnapshotScheduleInput', { description: 'A schedule to be made, which keeps who is in a segment as lists.' })
export class SnapshotScheduleInput extends TimedInput {
  @Field(() => String, { description: 'Key of the segment, as `buyers`.' })
  segment!: string;

  @Field(() => String, {
    nullable: true,
    description: "How the lists' keys begin, as `buyers` in `buyers_20260301_0400`; default: the segment's key.",
  })
  list?: string | null;

  @Field(() => Int, { nullable: true, description: 'How many of the lists are kept, 1 to 100; default: 12.' })
  keep?: number | null;
}

@InputType('LoadScheduleInput', { description: 'A schedule to be made, which loads rows of a database.' })
export class LoadScheduleInput {
  @Field(() => String, { description: 'What it is to be called, as `crm_hourly`.' })
  key!: string;

  @Field(() => String, {
    description: 'Minute, hour, day, month and weekday, as `0 6 * * *`, or `@hourly`, `@daily`, `@weekly`, `@monthly`.',
  })
  cron!: string;

  @Field(() => String, { defaultValue: 'UTC', description: 'The time zone of `cron`, as `Europe/Berlin`.' })
  zone!: string;

  @Field(() => String, {
    description:
      'The mapping, as YAML such as `source: crm`. It must have a `from`: files of the server are scheduled by its command line only.',
  })
  mapping!: string;

  @Field(() => Boolean, {
    defaultValue: false,
    description: 'Whether segment changes that the events cause are emitted; without it they are history.',
  })
  emit!: boolean;

  @Field(() => Int, { nullable: true, description: 'How many attempts a run has at most, 1 to 10; default: 3.' })
  maxAttempts?: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'When an attempt is stopped: a number and `s`, `m`, `h` or `d`, as in `6h`, which is the default.',
  })
  timeout?: string | null;
}

export const ScheduleConnection = connectionTypes<ListedSchedule>(ScheduleType, 'Schedule');
export const ScheduleRunConnection = connectionTypes<ScheduleRun>(ScheduleRunType, 'ScheduleRun');
