import { Arg, Authorized, Ctx, Field, Float, Int, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import type { FeatureReference } from '../../monitoring/feature-reference.model.js';
import { FeatureReferenceReader } from '../../monitoring/feature-reference.reader.js';
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
import { FEATURE_REFERENCE_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import { DateTime } from './scalars.js';

@ObjectType('FeatureReference', {
  simpleResolvers: true,
  description: 'A training set that what is served is compared with. Only how its values were spread is kept.',
})
class FeatureReferenceType implements FeatureReference {
  @Field(() => String, {
    description: 'What `featureDrift(against:)` and expectations call it, as `purchase_intent_v1`.',
  })
  name!: string;

  @Field(() => DateTime, { description: 'When it was registered.' })
  setAt!: number;

  @Field(() => DateTime, { description: 'When the training set was begun.' })
  madeAt!: number;

  @Field(() => Float, { description: 'How many rows its statistics are of.' })
  rows!: number;

  @Field(() => String, { description: 'SHA-256 of its manifest, in hex.' })
  manifestSha256!: string;
}

@ObjectType('RemovedFeatureReference', { simpleResolvers: true, description: 'A training set that was forgotten.' })
class RemovedFeatureReference {
  @Field(() => String, { description: 'What it was called, as `purchase_intent_v1`.' })
  name!: string;
}

const ReferenceConnection = connectionTypes<FeatureReference>(FeatureReferenceType, 'FeatureReference');
const Registered = resultUnion<FeatureReference>(
  'SetFeatureReferenceResult',
  { type: FeatureReferenceType, name: 'FeatureReference' },
  ['BadRequest', 'Conflict'],
);
const Removed = resultUnion<RemovedFeatureReference>(
  'RemoveFeatureReferenceResult',
  { type: RemovedFeatureReference, name: 'RemovedFeatureReference' },
  ['NotFound'],
);

/** Training sets that what is served is compared with, as `weft features reference` has them. */
@Resolver()
export class FeatureReferenceResolver {
  @Authorized('read')
  @Query(() => ReferenceConnection, {
    description: 'Training sets that values of features can be compared with, by name.',
  })
  async featureReferences(
    @Ctx() { services, reads }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<FeatureReference>>> {
    const limit = pageSize(first);
    reads.countSingleRead('featureReferences');
    const from = typeof after === 'string' ? FEATURE_REFERENCE_CURSOR.decode(after).key : null;
    const found = await new FeatureReferenceReader(services.db).page(from, limit + 1);
    const edges = found.map((node) => ({ cursor: FEATURE_REFERENCE_CURSOR.encode({ key: node.name }), node }));
    return connection(edges, limit, after);
  }

  @Authorized('admin')
  @Mutation(() => Registered.type, {
    description: 'Registers the training set of a manifest, in place of the one that had the name.',
  })
  setFeatureReference(
    @Ctx() { services }: ApiContext,
    @Arg('manifest', () => String, {
      description:
        'The text of the `.manifest.json` beside a training set, as `GET` of `manifestPath` of a `TrainingSetJob` answers it.',
    })
    manifest: string,
    @Arg('name', () => String, {
      nullable: true,
      description: 'What to call it, as `intent_2026_11`. Default: as its feature service.',
    })
    name: string | null | undefined,
  ): Promise<unknown> {
    const where = { manifest: 'manifest', name: 'name' };
    return Registered.attempt(() => services.featureReferences.set(manifest, name ?? null, where));
  }

  @Authorized('admin')
  @Mutation(() => Removed.type, {
    description: 'Forgets a training set; what views expect against it cannot be told any more.',
  })
  removeFeatureReference(
    @Ctx() { services }: ApiContext,
    @Arg('name', () => String, { description: 'What it is called, as `purchase_intent_v1`.' }) name: string,
  ): Promise<unknown> {
    return Removed.attempt(async () => {
      await services.featureReferences.remove(name);
      return { name };
    });
  }
}
