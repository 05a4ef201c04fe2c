import { Arg, Authorized, Ctx, Field, Float, Int, ObjectType, Query, Resolver } from 'type-graphql';
import { ruleText } from '../../identity/linkage/linkage-model.model.js';
import { sourceText } from '../../identity/matching/column-mapping.js';
import { LinkageModelReader } from '../../identity/matching/linkage-model.reader.js';
import {
  LINKAGE_MODEL_STATUSES,
  MATCHING_PHASES,
  type LinkageModelStatus,
  type MatchingPhase,
  type StoredLinkageModel,
} from '../../identity/matching/matching.model.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorVersion, LINKAGE_MODEL_CURSOR } from './cursors.js';
import { enumOf } from './enums.js';
import { DateTime } from './scalars.js';

const ModelStatusType = enumOf(
  'IdentityModelStatus',
  'What a model of record linkage is used for.',
  LINKAGE_MODEL_STATUSES,
  {
    added: 'It is kept, and was never applied.',
    active: 'It is applied to profiles.',
    retired: 'It was applied; can be activated again.',
  },
);

const PhaseType = enumOf(
  'IdentityMatchingPhase',
  'How far the comparison of all profiles by the active model is.',
  MATCHING_PHASES,
  {
    idle: 'No model is active.',
    keying: 'Profiles are being put in the blocks whose members are compared.',
    scoring: 'Profiles are being compared.',
    live: 'All profiles were compared; what changes is compared as it comes.',
  },
);

@ObjectType('IdentityModelColumn', {
  simpleResolvers: true,
  description: 'A column that a model of record linkage reads, and where it is filled from.',
})
class IdentityModelColumnType {
  @Field(() => String, { description: 'Its name in the model, as `dob`.' })
  column!: string;

  @Field(() => String, { description: 'A trait or a namespace, as `trait:birthday` or `identifier:email`.' })
  source!: string;
}

@ObjectType('IdentityModel', {
  simpleResolvers: true,
  description: 'A model of record linkage: who may be one person though no identifier says so.',
})
class IdentityModelType {
  @Field(() => String, { description: 'SHA-256 of all that decides on weights, 64 hexadecimal digits.' })
  version!: string;

  @Field(() => String, { description: 'What it is called, for people.' })
  name!: string;

  @Field(() => ModelStatusType, { description: 'What it is used for.' })
  status!: LinkageModelStatus;

  @Field(() => [IdentityModelColumnType], {
    description:
      'Where its columns were filled from when it was last activated, by name, at most 4,000; empty if it never was.',
  })
  columns!: readonly IdentityModelColumnType[];

  @Field(() => Float, { description: 'Match probability from which on profiles are linked, 0 to 1.' })
  linkThreshold!: number;

  @Field(() => Float, { description: 'Match probability from which on people are to look, 0 to 1.' })
  reviewThreshold!: number;

  @Field(() => DateTime, { description: 'When it was added.' })
  addedAt!: number;

  @Field(() => String, { description: 'Who added it.' })
  addedBy!: string;

  @Field(() => DateTime, { nullable: true, description: 'When it was last activated; null if it never was.' })
  activatedAt!: number | null;
}

@ObjectType('IdentityLargeBlocks', {
  simpleResolvers: true,
  description: 'Blocks of a blocking rule that have too many records: their pairs are not compared by this rule.',
})
class LargeBlocksType {
  @Field(() => String, { description: 'The rule, as `surname, substr(dob, 1, 4)`.' })
  rule!: string;

  @Field(() => Int, { description: 'How many of its blocks are left out.' })
  blocks!: number;
}

@ObjectType('IdentityMatching', {
  simpleResolvers: true,
  description: 'What the active model of record linkage made of profiles, as things stand.',
})
class IdentityMatchingType {
  @Field(() => PhaseType, { description: 'How far the comparison of all profiles is.' })
  phase!: MatchingPhase;

  @Field(() => Int, { description: 'How many groups of identifiers were read since the model was activated.' })
  componentsDone!: number;

  @Field(() => Int, { nullable: true, description: 'About how many there are; null where that is not known.' })
  componentsTotal!: number | null;

  @Field(() => Int, { description: 'How many people there are of whom the model reads anything.' })
  records!: number;

  @Field(() => Int, { description: 'How many changes were not compared yet.' })
  waiting!: number;

  @Field(() => Int, { description: 'How many links that models made stand.' })
  links!: number;

  @Field(() => Int, { description: 'How many pairs people are to look at.' })
  openReviews!: number;

  @Field(() => [LargeBlocksType], {
    description: 'Blocks that are left out, one entry for each rule that has any, at most 50.',
  })
  largeBlocks!: readonly LargeBlocksType[];
}

const IdentityModelConnection = connectionTypes<IdentityModelType>(IdentityModelType, 'IdentityModel');

/** Models of record linkage, and what comes of the active one. */
@Resolver()
export class IdentityModelResolver {
  @Authorized('admin')
  @Query(() => IdentityModelConnection, {
    description: 'Models of record linkage, the newest first; `weft identity models` adds and activates them.',
  })
  async identityModels(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<IdentityModelType>>> {
    const limit = pageSize(first);
    reads.countSingleRead('identityModels');
    const place = typeof after === 'string' ? LINKAGE_MODEL_CURSOR.decode(after) : null;
    const before = place === null ? null : { addedAt: place.at, version: cursorVersion(place.version) };
    const models = await new LinkageModelReader(services.db).page(before, limit + 1);
    const edges = models.map((model) => ({
      cursor: LINKAGE_MODEL_CURSOR.encode({ at: model.addedAt, version: model.version }),
      node: modelView(model),
    }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Query(() => IdentityMatchingType, {
    description: 'How far the comparison of profiles by the active model of record linkage is, and what came of it.',
  })
  async identityMatching(@Ctx() { services, reads }: ApiContext): Promise<IdentityMatchingType> {
    reads.countOnce('identityMatching');
    const reader = new LinkageModelReader(services.db);
    const { phase, componentsDone, componentsTotal } = await reader.state();
    const { records, waiting, links, reviews, largeBlocks } = await reader.counts();
    const active = largeBlocks.size === 0 ? null : await reader.active();
    const rules = active === null ? [] : ((await reader.applied(active.version))?.model.blockingRules ?? []);
    return {
      ...{ phase, componentsDone, componentsTotal, records, waiting, links },
      openReviews: reviews,
      largeBlocks: [...largeBlocks].flatMap(([number, blocks]) => {
        const rule = rules[number];
        return rule === undefined ? [] : [{ rule: ruleText(rule), blocks }];
      }),
    };
  }
}

function modelView({ mapping, ...model }: StoredLinkageModel): IdentityModelType {
  const columns = Object.entries(mapping ?? {}).map(([column, source]) => ({ column, source: sourceText(source) }));
  return { ...model, columns: columns.sort((a, b) => (a.column < b.column ? -1 : 1)) };
}
