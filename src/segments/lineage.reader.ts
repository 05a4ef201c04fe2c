import type { FeatureDefinition } from '../features/feature.model.js';
import { FeatureReader, type StoredFeatureView } from '../features/feature.reader.js';
import {
  lineageGraph,
  type LineageEdge,
  type LineageGraph,
  type LineageKind,
  type LineageNode,
} from '../features/lineage.model.js';
import type { Queryable } from '../platform/postgres.js';
import { ModelReader } from '../scoring/model.reader.js';
import { parseRule } from './segment-rule.model.js';
import { SegmentReader } from './segment.reader.js';

/** Reads what hangs together, of all that is in force; bound to a pool or to a transaction. */
export class LineageReader {
  readonly #db: Queryable;

  constructor(db: Queryable) {
    this.#db = db;
  }

  async graph(): Promise<LineageGraph> {
    const features = new FeatureReader(this.#db);
    const views = await features.allViews();
    const entities = await features.entities();
    const services = await features.services();
    const models = await new ModelReader(this.#db).active();
    const segments = await new SegmentReader(this.#db).active();
    const types = new Map(views.flatMap((view) => view.features).map(({ name, type }) => [name, type]));
    const edges: LineageEdge[] = [
      ...views.flatMap(edgesOfView),
      ...services.flatMap((service) => service.features.map((name) => edge('feature', name, 'service', service.name))),
      ...models.flatMap(({ key, manifest: { featureService } }) => [
        edge('service', featureService.name, 'model', key),
        ...featureService.features.map((name) => edge('feature', name, 'model', key)),
      ]),
      ...segments.flatMap(({ key, activeRule }) => {
        if (activeRule === null) return [];
        const { requires } = parseRule(activeRule, { features: types });
        return [
          ...requires.features.map((name) => edge('feature', name, 'segment', key)),
          ...requires.inlineFeatures.flatMap((feature) => edgesOfEvents(feature, node('segment', key))),
          ...requires.models.map((name) => edge('model', name, 'segment', key)),
          ...requires.segments.map((name) => edge('segment', name, 'segment', key)),
        ];
      }),
    ];
    const alone = [
      ...entities.map(({ name }) => node('entity', name)),
      ...views.map(({ name }) => node('view', name)),
      ...services.map(({ name }) => node('service', name)),
      ...segments.map(({ key }) => node('segment', key)),
    ];
    return lineageGraph(alone, edges);
  }
}

function edgesOfView({ name, source, entity, features }: StoredFeatureView): LineageEdge[] {
  return [
    ...(source === null ? [] : [edge('source', source, 'view', name)]),
    ...(entity === undefined ? [] : [edge('entity', entity, 'view', name)]),
    ...features.flatMap((feature) => [
      edge('view', name, 'feature', feature.name),
      ...edgesOfEvents(feature, node('feature', feature.name)),
    ]),
  ];
}

/** Of a ratio, what its parts count; of what is computed on demand, the features that it reads. */
function edgesOfEvents(feature: FeatureDefinition, to: LineageNode): LineageEdge[] {
  const { numerator, denominator, inputs, steps = [] } = feature.options ?? {};
  if (inputs !== undefined) return inputs.map(({ name }) => ({ from: node('feature', name), to }));
  const parts = [numerator, denominator].filter((part) => part !== undefined);
  if (parts.length > 0) return parts.flatMap((part) => edgesOfEvents(part, to));
  const named = [...feature.events, ...steps.map(({ event }) => event)];
  return (named.length === 0 ? ['*'] : named).map((event) => ({ from: node('event', event), to }));
}

function edge(fromKind: LineageKind, from: string, toKind: LineageKind, to: string): LineageEdge {
  return { from: node(fromKind, from), to: node(toKind, to) };
}

function node(kind: LineageKind, name: string): LineageNode {
  return { kind, name };
}
