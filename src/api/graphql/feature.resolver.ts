import {
  Arg,
  Authorized,
  Ctx,
  Field,
  FieldResolver,
  Float,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import type { FeatureDefinition } from '../../features/feature.model.js';
import { FeatureReader, type StoredFeatureView } from '../../features/feature.reader.js';
import type { ApplyPlan } from '../../features/feature.service.js';
import { parseFeatures } from '../../features/parse-features.js';
import type { Warning } from '../../platform/warning.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageByKey,
  type Connection,
  type Edge,
} from './connection.types.js';
import { VIEW_CURSOR } from './cursors.js';
import { FeatureKind } from './enums.js';
import { resultUnion } from './failure.types.js';
import { DefinitionWarning } from './warning.types.js';

@ObjectType('FeatureDefinition', { simpleResolvers: true, description: 'How a feature is computed.' })
class FeatureDefinitionType {
  @Field(() => String, { description: 'Its name, unique over all views.' })
  name!: string;

  @Field(() => String, { description: 'What it says of somebody, in words for people; may be empty.' })
  description!: string;

  @Field(() => FeatureKind, { description: 'Of what type its values are.' })
  type!: FeatureDefinition['type'];

  @Field(() => String, { description: 'How events are aggregated: `count`, `sum`, `last`, …' })
  aggregate!: string;

  @Field(() => [String], { description: 'Names of the events that count, at most 200; empty: all.' })
  events!: readonly string[];

  @Field(() => String, { nullable: true, description: 'Key of the source that they come from, as `web`; null: any.' })
  source!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'A further condition on events, as `properties.value > 10`; null if there is none.',
  })
  where!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'The path of the value that is aggregated, as `properties.value`; null if events are only counted.',
  })
  value!: string | null;

  @Field(() => Float, { nullable: true, description: 'Length of the window, ms; null: all of the past.' })
  windowMs!: number | null;
}

@Resolver(() => FeatureDefinitionType)
export class FeatureDefinitionResolver {
  @FieldResolver(() => Boolean, { description: 'Whether profiles can be found by it, once everybody is in the index.' })
  searchable(@Root() definition: FeatureDefinition): boolean {
    return definition.searchable === true;
  }
}

@ObjectType('FeatureView', { simpleResolvers: true, description: 'Features that are defined together.' })
class FeatureViewType {
  @Field(() => String, { description: 'What it is called by, as `web_activity`.' })
  name!: string;

  @Field(() => Int, { description: 'A whole number that grows with each change.' })
  version!: number;

  @Field(() => String, { description: 'What its features are about, in words for people; may be empty.' })
  description!: string;

  @Field(() => [FeatureDefinitionType], { description: 'The features that it defines, at most 2,000.' })
  features!: readonly FeatureDefinition[];
}

@ObjectType('FeaturePlan', { simpleResolvers: true, description: 'What applying definitions changes.' })
class FeaturePlan {
  @Field(() => Boolean, { description: 'Whether nothing was changed, because this was a dry run.' })
  dryRun!: boolean;

  @Field(() => [String], { description: 'Features and services that are new.' })
  added!: readonly string[];

  @Field(() => [String], { description: 'Features and services that are defined anew.' })
  changed!: readonly string[];

  @Field(() => [String], { description: 'Features and services that are gone.' })
  removed!: readonly string[];

  @Field(() => Int, { description: 'How many aggregates history has to be folded into before they are complete.' })
  newStreams!: number;

  @Field(() => [DefinitionWarning], { description: 'Names in the definitions that nothing has sent so far.' })
  warnings!: readonly Warning[];
}

const FeatureViewConnection = connectionTypes<StoredFeatureView>(FeatureViewType, 'FeatureView');
const Applied = resultUnion<ApplyPlan & { dryRun: boolean }>(
  'ApplyFeaturesResult',
  { type: FeaturePlan, name: 'FeaturePlan' },
  ['InvalidDefinition'],
);

@Resolver(() => FeatureViewType)
export class FeatureResolver {
  @FieldResolver(() => [String], {
    description: 'Keys of the purposes that somebody has to allow for its features to be used; at most 10.',
  })
  purposes(@Root() view: StoredFeatureView): readonly string[] {
    return view.purposes ?? [];
  }

  @Authorized('read')
  @Query(() => FeatureViewConnection, { description: 'The features that there are, by view.' })
  async featureViews(
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<StoredFeatureView>>> {
    const views = await new FeatureReader(services.db).views();
    const sorted = views.sort((a, b) => (a.name < b.name ? -1 : 1));
    return pageByKey(sorted, (view) => view.name, VIEW_CURSOR, { first, after });
  }

  @Authorized('admin')
  @Mutation(() => Applied.type, { description: 'Applies feature definitions, all or none of them.' })
  applyFeatures(
    @Ctx() { services, watch, reads }: ApiContext,
    @Arg('yaml', () => String, { description: 'The definitions, in the form of a features file.' }) yaml: string,
    @Arg('dryRun', () => Boolean, { defaultValue: false, description: 'Only say what would change.' }) dryRun: boolean,
    @Arg('prune', () => Boolean, { defaultValue: false, description: 'Also remove what is not in the definitions.' })
    prune: boolean,
  ): Promise<unknown> {
    return Applied.attempt(async () => {
      const elsewhere = [...reads.definitions.views.values()].flatMap((view) => view.features.map(({ name }) => name));
      const file = parseFeatures(yaml, 'features', prune ? [] : elsewhere);
      const plan = await services.features.apply(file, { dryRun, prune });
      if (!dryRun) await watch.reload();
      return { ...plan, dryRun };
    });
  }
}
