import { Arg, Authorized, Ctx, Field, InputType, Int, ObjectType, Query, Resolver } from 'type-graphql';
import {
  LINEAGE_DIRECTIONS,
  LINEAGE_KINDS,
  MAX_LINEAGE_DEPTH,
  walkLineage,
  type Lineage,
  type LineageDirection,
  type LineageEdge,
  type LineageKind,
  type LineageNode,
  type ReachedNode,
} from '../../features/lineage.model.js';
import { WeftError } from '../../platform/errors.js';
import { nameHint } from '../../platform/near-names.js';
import { LineageReader } from '../../segments/lineage.reader.js';
import type { ApiContext } from './api-context.js';
import { enumOf } from './enums.js';

const LineageKindType = enumOf('LineageKind', 'What hangs together with others.', LINEAGE_KINDS, {
  source: 'A source that a view takes its events from.',
  event: 'The name of an event; `*` stands for all of them.',
  entity: 'An entity that views are about, other than people.',
  view: 'A feature view.',
  feature: 'A feature of a view.',
  service: 'A feature service.',
  model: 'An active model.',
  segment: 'An active segment.',
});

const LineageDirectionType = enumOf('LineageDirection', 'Which way to look.', LINEAGE_DIRECTIONS, {
  up: 'At what it is made of.',
  down: 'At what is made of it.',
  both: 'At both, one after the other.',
});

@InputType('LineageNodeInput', { description: 'What lineage is asked of.' })
class LineageNodeInput {
  @Field(() => LineageKindType, { description: 'Of what sort it is.' })
  kind!: LineageKind;

  @Field(() => String, { description: 'Its name or key, as `orders_60d`.' })
  name!: string;
}

@ObjectType('LineageEnd', { simpleResolvers: true, description: 'An end of an edge.' })
class LineageEnd {
  @Field(() => LineageKindType, { description: 'Of what sort it is.' })
  kind!: LineageKind;

  @Field(() => String, { description: 'Its name or key, as `orders_60d`.' })
  name!: string;
}

@ObjectType('LineageNode', { simpleResolvers: true, description: 'Something that hangs together with what was asked.' })
class LineageNodeType extends LineageEnd {
  @Field(() => Int, { description: 'How many edges away it is; 0 for what was asked.' })
  distance!: number;
}

@ObjectType('LineageEdge', { simpleResolvers: true, description: 'That one thing is made of, or reads, another.' })
class LineageEdgeType {
  @Field(() => LineageEnd, { description: 'What is read.' })
  from!: LineageNode;

  @Field(() => LineageEnd, { description: 'What reads it.' })
  to!: LineageNode;
}

@ObjectType('Lineage', { simpleResolvers: true, description: 'What hangs together with something, as it is in force.' })
class LineageType {
  @Field(() => [LineageNodeType], { description: 'The nearest first, at most 2,000.' })
  nodes!: readonly ReachedNode[];

  @Field(() => [LineageEdgeType], { description: 'Each edge between two of these, once.' })
  edges!: readonly LineageEdge[];

  @Field(() => Boolean, { description: 'Whether there were more than 2,000 nodes, so that the farthest are left out.' })
  isTruncated!: boolean;
}

@Resolver()
export class LineageResolver {
  @Authorized('read')
  @Query(() => LineageType, {
    description:
      'Which sources, events, views, features, services, models and segments hang together with one of them; once a request.',
  })
  async lineage(
    @Ctx() { services, reads }: ApiContext,
    @Arg('of', () => LineageNodeInput, { description: 'What to begin with.' }) of: LineageNodeInput,
    @Arg('direction', () => LineageDirectionType, { defaultValue: 'both', description: 'Which way to look.' })
    direction: LineageDirection,
    @Arg('depth', () => Int, {
      defaultValue: MAX_LINEAGE_DEPTH,
      description: 'How many edges to go at most, 1 to 20.',
    })
    depth: number,
  ): Promise<Lineage> {
    if (depth < 1 || depth > MAX_LINEAGE_DEPTH) {
      throw new WeftError('BAD_REQUEST', `a depth of ${String(depth)} cannot be`, {
        where: 'depth',
        hint: `give 1 to ${String(MAX_LINEAGE_DEPTH)}`,
      });
    }
    reads.countOnce('lineage');
    const graph = await new LineageReader(services.db).graph();
    const lineage = walkLineage(graph, of, direction, depth);
    if (lineage !== null) return lineage;
    const names = graph.nodes.filter(({ kind }) => kind === of.kind).map(({ name }) => name);
    throw new WeftError('NOT_FOUND', `there is no ${of.kind} ${of.name.slice(0, 100)} in force`, {
      where: 'of',
      hint: nameHint(of.name, names, 'featureViews and segments list those that there are'),
    });
  }
}
