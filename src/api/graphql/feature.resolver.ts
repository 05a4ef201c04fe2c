import { Arg, Authorized, Ctx, FieldResolver, Float, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { DefinitionHistoryReader, type DefinitionVersion } from '../../features/definition-history.reader.js';
import type { DefinitionKind, FeatureDefinition } from '../../features/feature.model.js';
import { FeatureReader, type StoredFeatureService, type StoredFeatureView } from '../../features/feature.reader.js';
import type { ApplyPlan } from '../../features/feature.service.js';
import { parseFeatures } from '../../features/parse-features.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connection,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageByKey,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { damagedCursor, DEFINITION_VERSION_CURSOR, FEATURE_SERVICE_CURSOR, VIEW_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import {
  DefinitionKindType,
  FeatureDefinitionType,
  FeatureDefinitionVersionType,
  FeatureImputationType,
  FeaturePlanType,
  FeatureServiceType,
  FeatureViewKind,
  FeatureViewType,
} from './feature.types.js';

const MAX_VERSION = 2 ** 31 - 1;
const FORCE =
  'Also remove and retype what is in use. Segments that read it are archived and models retired with it, as `withdrawn` says.';

@Resolver(() => FeatureDefinitionType)
export class FeatureDefinitionResolver {
  @FieldResolver(() => Boolean, { description: 'Whether profiles can be found by it, once everybody is in the index.' })
  searchable(@Root() definition: FeatureDefinition): boolean {
    return definition.searchable === true;
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'The path of what events are grouped by, as `properties.category`; null if they are not.',
  })
  by(@Root() { options }: FeatureDefinition): string | null {
    return options?.by ?? null;
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'The one key that is read, as `shoes`; null if it is not of a map, or all of the map.',
  })
  key(@Root() { options }: FeatureDefinition): string | null {
    return options?.key ?? null;
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: 'How it is computed on demand, as `f.spend_30d / 30.0`; null if it is not.',
  })
  expression(@Root() { options }: FeatureDefinition): string | null {
    return options?.expression ?? null;
  }

  @FieldResolver(() => Float, {
    nullable: true,
    description: 'In what time an event comes to count half, ms; null if it does not fade.',
  })
  halfLifeMs(@Root() { options }: FeatureDefinition): number | null {
    return options?.halfLifeMs ?? null;
  }
}

const FeatureViewConnection = connectionTypes<StoredFeatureView>(FeatureViewType, 'FeatureView');
const FeatureServiceConnection = connectionTypes<StoredFeatureService>(FeatureServiceType, 'FeatureService');
const VersionConnection = connectionTypes<DefinitionVersion>(FeatureDefinitionVersionType, 'FeatureDefinitionVersion');
const Applied = resultUnion<ApplyPlan & { dryRun: boolean }>(
  'ApplyFeaturesResult',
  { type: FeaturePlanType, name: 'FeaturePlan' },
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

  @FieldResolver(() => FeatureViewKind, {
    description: 'Whether its features are aggregates of events, columns of records, or computed on demand.',
  })
  kind(@Root() view: StoredFeatureView): string {
    return view.kind ?? 'stream';
  }

  @FieldResolver(() => [String], { description: 'Words to find it by, at most 20.' })
  tags(@Root() view: StoredFeatureView): readonly string[] {
    return view.tags ?? [];
  }

  @Authorized('read')
  @Query(() => FeatureServiceConnection, { description: 'The feature services that there are, by name.' })
  async featureServices(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<StoredFeatureService>>> {
    reads.countSingleRead('featureServices');
    const all = await new FeatureReader(services.db).services();
    const sorted = all.sort((a, b) => (a.name < b.name ? -1 : 1));
    return pageByKey(sorted, ({ name }) => name, FEATURE_SERVICE_CURSOR, { first, after });
  }

  @Authorized('read')
  @Query(() => VersionConnection, {
    description: 'Every version of a view, service or entity, the newest first; none for a name that never was.',
  })
  async featureDefinitionVersions(
    @Ctx() { services, reads }: ApiContext,
    @Arg('kind', () => DefinitionKindType, { description: 'What is defined.' }) kind: DefinitionKind,
    @Arg('name', () => String, { description: 'Its name, as `web_activity`.' }) name: string,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<DefinitionVersion>>> {
    const limit = pageSize(first);
    reads.countSingleRead('featureDefinitionVersions');
    const before = typeof after === 'string' ? DEFINITION_VERSION_CURSOR.decode(after).version : null;
    if (before !== null && (before < 1 || before > MAX_VERSION)) throw damagedCursor();
    const versions = await new DefinitionHistoryReader(services.db).page(kind, name, before, limit + 1);
    const edges = versions.map((node) => ({
      cursor: DEFINITION_VERSION_CURSOR.encode({ version: node.version }),
      node,
    }));
    return connection(edges, limit, after);
  }

  @Authorized('read')
  @Query(() => FeatureViewConnection, { description: 'The features that there are, by view.' })
  async featureViews(
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<StoredFeatureView>>> {
    const views = await new FeatureReader(services.db).allViews();
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
    @Arg('force', () => Boolean, { defaultValue: false, description: FORCE }) force: boolean,
  ): Promise<unknown> {
    return Applied.attempt(async () => {
      const { views, entities } = reads.definitions;
      const elsewhere = [
        ...[...views.values()].flatMap((view) => view.features.map(({ name }) => name)),
        ...[...entities.values()].flatMap(({ features }) => [...features.keys()]),
      ];
      const file = parseFeatures(yaml, 'features', prune ? [] : elsewhere);
      const plan = await services.features.apply(file, { dryRun, prune, force });
      if (!dryRun) await watch.reload();
      return { ...plan, dryRun };
    });
  }
}

@Resolver(() => FeatureServiceType)
export class FeatureServiceResolver {
  @FieldResolver(() => [String], { description: 'Words to find it by, at most 20.' })
  tags(@Root() service: StoredFeatureService): readonly string[] {
    return service.tags ?? [];
  }

  @FieldResolver(() => [FeatureImputationType], {
    description: 'What stands for its features where they are missing; at most one for each.',
  })
  impute(@Root() { impute = {} }: StoredFeatureService): FeatureImputationType[] {
    return Object.entries(impute).map(([feature, imputation]) => ({ feature, ...imputation }));
  }
}
