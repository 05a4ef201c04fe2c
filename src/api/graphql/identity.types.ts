import { Field, Float, ID, Int, ObjectType } from 'type-graphql';
import { LINK_KINDS, type IdentityLink, type LinkKind } from '../../identity/identity-decision.model.js';
import { OBSTACLES, type Obstacle } from '../../identity/identity-explanation.reader.js';
import {
  REVISION_KINDS,
  REVISION_STATUSES,
  type IdentityRevisionRecord,
  type RevisionKind,
  type RevisionStatus,
} from '../../identity/identity-revision.model.js';
import { MOVE_CAUSES } from '../../identity/identity-move.model.js';
import { connectionTypes } from './connection.types.js';
import { enumOf } from './enums.js';
import { IdentifierType } from './profile.types.js';
import { DateTime } from './scalars.js';

const RevisionKindType = enumOf(
  'IdentityRevisionKind',
  'Why somebody may be somebody else from now on.',
  REVISION_KINDS,
  {
    merge: 'Somebody said that profiles are one.',
    unmerge: 'Somebody said that a profile is two.',
    unlink: 'Somebody took back what had been said.',
    apart: 'Somebody said of two profiles that they are not one.',
    rules: 'The rules of identity changed.',
    generic: 'A value turned out to be of many people.',
    model: 'A model of record linkage linked records, or took links back.',
  },
);

const RevisionStatusType = enumOf('IdentityRevisionStatus', 'Where a revision stands.', REVISION_STATUSES, {
  waiting: 'No worker has begun.',
  running: 'A part of it is done.',
  done: 'All of it is done.',
  failed: 'It cannot be done, or failed again and again; `failure` says why.',
});

const LinkKindType = enumOf('IdentityLinkKind', 'What a link says of its two ends.', LINK_KINDS, {
  must: 'They are the same person.',
  cannot: 'They are not the same person.',
});

const ObstacleKindType = enumOf(
  'IdentityObstacleKind',
  'Why two identifiers do not stand for one profile.',
  OBSTACLES,
  {
    not_seen: 'One of the two has never come with an event that counts, or stands for nobody, as `null` does.',
    not_connected: 'No evidence leads from one to the other.',
    cannot_link: 'Somebody said that they are not the same person.',
    limit: 'One profile may not hold as many values of a namespace as the two do together.',
    too_many_identifiers: 'One profile may not hold as many identifiers as the two do together.',
    shared:
      'An identifier between them is of several people, and the rules of its namespace keep it from joining them.',
    may_not_merge: 'Identifiers of a namespace join nobody who has a profile already.',
    contested: 'There is too much evidence to be resolved at once.',
  },
);

export const MoveKindType = enumOf(
  'IdentityMoveKind',
  'What became of the profile that identifiers left.',
  ['merge', 'split'],
  {
    merge: 'It ended; its id leads to the other one.',
    split: 'It lives on without them.',
  },
);

const MoveCauseType = enumOf('IdentityMoveCause', 'What made identifiers go over to another profile.', MOVE_CAUSES, {
  event: 'An event that came with them.',
  retraction: 'Events that were taken back.',
  revision: 'A revision: somebody decided it, or the rules changed.',
  contested: 'Much evidence, which is resolved by the way.',
});

@ObjectType('IdentityRevision', {
  simpleResolvers: true,
  description: 'Something that no event brought and that changes who is who. Workers do it, between batches of events.',
})
export class IdentityRevisionType {
  @Field(() => ID, { description: 'What it is asked for by, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => RevisionKindType, { description: 'Why identities were looked at anew.' })
  kind!: RevisionKind;

  @Field(() => RevisionStatusType, { description: 'Where it stands.' })
  status!: RevisionStatus;

  @Field(() => String, {
    description: 'Who asked for it: a key, a person with a token, or a user of the command line.',
  })
  actor!: string;

  @Field(() => String, { description: 'Why, in the words of whoever asked; may be empty.' })
  reason!: string;

  @Field(() => DateTime, { description: 'When it was asked for.' })
  createdAt!: number;

  @Field(() => DateTime, { nullable: true, description: 'When it was done or given up; null before.' })
  finishedAt!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'Why it last failed, as `CONFLICT: they are one profile already`; null where nothing failed.',
  })
  failure!: string | null;

  @Field(() => Int, { description: 'How many identifiers stand for another profile by it, so far.' })
  movedIdentifiers!: number;

  @Field(() => Int, { description: 'How many links it made.' })
  linksAdded!: number;

  @Field(() => Int, { description: 'How many links it removed.' })
  linksRemoved!: number;

  @Field(() => Int, { description: 'How many components it left as they were: they have too much evidence.' })
  contested!: number;

  @Field(() => Int, { description: 'How many components could not be resolved, and are as they were.' })
  componentsFailed!: number;

  @Field(() => Int, { description: 'How many components are done.' })
  componentsDone!: number;

  @Field(() => Int, { nullable: true, description: 'About how many there are; null where that is not known.' })
  componentsTotal!: number | null;
}

export function revisionView(revision: IdentityRevisionRecord): IdentityRevisionType {
  const { id, kind, status, actor, reason, createdAt, finishedAt, failure, result, stepsDone, stepsTotal } = revision;
  return {
    ...{ id, kind, status, actor, reason, createdAt, finishedAt },
    failure: failure === null ? null : `${failure.code}: ${failure.message}`,
    movedIdentifiers: result?.moved ?? 0,
    linksAdded: result?.linksAdded ?? 0,
    linksRemoved: result?.linksRemoved ?? 0,
    contested: result?.contested ?? 0,
    componentsFailed: result?.failed ?? 0,
    componentsDone: stepsDone,
    componentsTotal: stepsTotal,
  };
}

@ObjectType('IdentityLink', {
  simpleResolvers: true,
  description:
    'That people, or a model of record linkage, said of two identifiers that they are, or are not, the same person. Stronger than evidence.',
})
export class IdentityLinkType {
  @Field(() => ID, { description: 'What it is removed by, as `01900000-0000-7000-8000-000000000000`.' })
  id!: string;

  @Field(() => LinkKindType, { description: 'What it says.' })
  kind!: LinkKind;

  @Field(() => IdentifierType, { description: 'One end of it.' })
  a!: IdentifierType;

  @Field(() => IdentifierType, { description: 'The other end.' })
  b!: IdentifierType;

  @Field(() => String, { description: 'Who made it.' })
  createdBy!: string;

  @Field(() => DateTime, { description: 'From when on it counts.' })
  createdAt!: number;

  @Field(() => String, { description: 'Why, in the words of whoever made it; may be empty.' })
  reason!: string;

  @Field(() => String, {
    nullable: true,
    description: 'The version of the model of record linkage that made it, 64 hexadecimal digits; null: people did.',
  })
  modelVersion!: string | null;

  @Field(() => Float, {
    nullable: true,
    description:
      'Match weight by that model, in bits, of which each doubles the odds (0: even odds) that both are of one person; null where people made it.',
  })
  matchWeight!: number | null;

  @Field(() => ID, { description: 'The revision that made it, as `01900000-0000-7000-8000-000000000000`.' })
  revisionId!: string;

  @Field(() => String, { nullable: true, description: 'Who removed it; null while it stands.' })
  removedBy!: string | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was removed; null while it stands.' })
  removedAt!: number | null;
}

export function linkView({ a, b, model, ...link }: IdentityLink): IdentityLinkType {
  return {
    ...link,
    modelVersion: model?.version ?? null,
    matchWeight: model?.weight ?? null,
    a: identifierView(a),
    b: identifierView(b),
  };
}

export function identifierView({ ns, value }: { readonly ns: string; readonly value: string }): IdentifierType {
  return { namespace: ns, value };
}

@ObjectType('IdentityEvidence', {
  simpleResolvers: true,
  description: 'That an event came with several identifiers: of all that came with these on that day, the first.',
})
export class IdentityEvidenceType {
  @Field(() => String, { description: 'Key of the source that sent it, as `web`.' })
  source!: string;

  @Field(() => String, { description: 'Its id, unique within its source.' })
  messageId!: string;

  @Field(() => DateTime, { description: 'When it happened.' })
  occurredAt!: number;

  @Field(() => [IdentifierType], { description: 'The identifiers that it came with, at most 32.' })
  identifiers!: readonly IdentifierType[];
}

@ObjectType('IdentityStep', {
  simpleResolvers: true,
  description: 'One step from identifier to identifier: by evidence, or by what somebody said.',
})
export class IdentityStepType {
  @Field(() => IdentifierType, { description: 'Where it begins.' })
  from!: IdentifierType;

  @Field(() => IdentifierType, { description: 'Where it leads.' })
  to!: IdentifierType;

  @Field(() => IdentityEvidenceType, { nullable: true, description: 'What leads there; null where a link does.' })
  evidence!: IdentityEvidenceType | null;

  @Field(() => IdentityLinkType, {
    nullable: true,
    description: 'The link that leads there; null where evidence does.',
  })
  link!: IdentityLinkType | null;

  @Field(() => Boolean, { description: 'False: its ends stand for different profiles all the same; see `obstacles`.' })
  joins!: boolean;
}

@ObjectType('IdentityObstacle', {
  simpleResolvers: true,
  description: 'Something that keeps two identifiers from standing for one profile.',
})
export class IdentityObstacleType {
  @Field(() => ObstacleKindType, { description: 'Why the two are kept apart.' })
  kind!: Obstacle['kind'];

  @Field(() => String, {
    nullable: true,
    description: 'The namespace that it is about, as `user_id`; null for others.',
  })
  namespace!: string | null;

  @Field(() => Int, { nullable: true, description: 'For `LIMIT`: how many values one profile may hold.' })
  limit!: number | null;

  @Field(() => Int, { nullable: true, description: 'For `LIMIT`: how many the two hold together.' })
  count!: number | null;

  @Field(() => Int, { nullable: true, description: 'For `LIMIT`: within how many days it holds; null: ever.' })
  windowDays!: number | null;

  @Field(() => IdentityLinkType, { nullable: true, description: 'For `CANNOT_LINK`: what somebody said.' })
  link!: IdentityLinkType | null;
}

@ObjectType('IdentityExplanation', {
  simpleResolvers: true,
  description: 'Why two identifiers stand for one profile, or why they do not.',
})
export class IdentityExplanationType {
  @Field(() => Boolean, { description: 'Whether they stand for one profile.' })
  isOne!: boolean;

  @Field(() => [IdentityStepType], {
    description: 'The shortest way from one to the other; empty where none leads there.',
  })
  steps!: readonly IdentityStepType[];

  @Field(() => [IdentityObstacleType], {
    description: 'What keeps them apart, as far as known, at most 10 links by hand among it; empty if they are one.',
  })
  obstacles!: readonly IdentityObstacleType[];

  @Field(() => Boolean, {
    description: 'False: there is more evidence than was looked at, so a shorter way may exist, or one at all.',
  })
  isComplete!: boolean;
}

@ObjectType('MergeHistoryEntry', {
  simpleResolvers: true,
  description: 'Identifiers that went over from one profile to another, together.',
})
export class MergeHistoryEntryType {
  @Field(() => ID, {
    description: 'What `unmergeProfile` undoes it by, as `01900000-0000-7000-8000-000000000000`.',
  })
  id!: string;

  @Field(() => MoveKindType, { description: 'What became of the profile that they left.' })
  kind!: 'merge' | 'split';

  @Field(() => ID, { description: 'Id of the profile that they left, as `01900000-0000-7000-8000-000000000000`.' })
  from!: string;

  @Field(() => ID, { description: 'Id of the profile that they came to, as `01900000-0000-7000-8000-000000000000`.' })
  to!: string;

  @Field(() => [IdentifierType], { description: 'At most 500 of them; those that are known no more are left out.' })
  identifiers!: readonly IdentifierType[];

  @Field(() => DateTime, { description: 'When it came about.' })
  at!: number;

  @Field(() => MoveCauseType, { description: 'What made them go.' })
  cause!: 'event' | 'retraction' | 'revision';

  @Field(() => IdentityEvidenceType, {
    nullable: true,
    description: 'The event; null where none did it, or where it is not in the log any more.',
  })
  event!: IdentityEvidenceType | null;

  @Field(() => String, { nullable: true, description: 'Who decided it; null where nobody did.' })
  actor!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Why, in the words of whoever decided it; null where nobody did.',
  })
  reason!: string | null;

  @Field(() => ID, {
    nullable: true,
    description: 'The revision that did it, as `01900000-0000-7000-8000-000000000000`; null where none did.',
  })
  revisionId!: string | null;
}

export const IdentityRevisionConnection = connectionTypes<IdentityRevisionType>(
  IdentityRevisionType,
  'IdentityRevision',
);
export const IdentityLinkConnection = connectionTypes<IdentityLinkType>(IdentityLinkType, 'IdentityLink');
export const MergeHistoryConnection = connectionTypes<MergeHistoryEntryType>(
  MergeHistoryEntryType,
  'MergeHistoryEntry',
);
