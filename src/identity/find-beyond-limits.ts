import type { LoggedEvent } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Component } from './component.model.js';
import { withinLimits, type IdentityRules } from './identity-rules.model.js';

/** What events will have joined once all are applied. */
interface Cluster {
  readonly components: Set<Component>;
  /** Namespaces of new identifiers, by id. */
  readonly added: Map<Uuid, string>;
}

/**
 * The known components that may be beyond limits at some moment while these events are applied: a component only grows,
 * so those that are not beyond them at the end never are.
 *
 * @param componentOf of an identifier; undefined: a new one
 */
export function findBeyondLimits(
  events: readonly LoggedEvent[],
  componentOf: (identifierId: Uuid) => Component | undefined,
  rules: IdentityRules,
): Component[] {
  const clusterOf = new Map<Component | Uuid, Cluster>();
  const found = new Set<Component>();
  for (const { identifiers } of events) {
    const first = componentOf(identifiers[0]?.id ?? '');
    if (first === undefined ? identifiers.length < 2 : identifiers.every(({ id }) => componentOf(id) === first)) {
      if (first !== undefined && !found.has(first) && !withinLimits(first.counts, rules)) found.add(first);
      continue;
    }
    let cluster: Cluster | undefined;
    for (const { id, ns } of identifiers) {
      const component = componentOf(id);
      const own = clusterOf.get(component ?? id) ?? newCluster(component, id, ns);
      cluster = cluster === undefined || cluster === own ? own : join(clusterOf, cluster, own);
      clusterOf.set(component ?? id, cluster);
    }
  }
  for (const cluster of new Set(clusterOf.values())) {
    if (!withinLimits(countsOf(cluster), rules)) for (const component of cluster.components) found.add(component);
  }
  return [...found];
}

function newCluster(component: Component | undefined, id: Uuid, ns: string): Cluster {
  return component === undefined
    ? { components: new Set(), added: new Map([[id, ns]]) }
    : { components: new Set([component]), added: new Map() };
}

function join(clusterOf: Map<Component | Uuid, Cluster>, a: Cluster, b: Cluster): Cluster {
  const sizeOf = (cluster: Cluster): number => cluster.components.size + cluster.added.size;
  const [into, from] = sizeOf(a) >= sizeOf(b) ? [a, b] : [b, a];
  for (const component of from.components) {
    into.components.add(component);
    clusterOf.set(component, into);
  }
  for (const [id, ns] of from.added) {
    into.added.set(id, ns);
    clusterOf.set(id, into);
  }
  return into;
}

function countsOf({ components, added }: Cluster): Map<string, number> {
  const counts = new Map<string, number>();
  const count = (ns: string, n: number): unknown => counts.set(ns, (counts.get(ns) ?? 0) + n);
  for (const component of components) for (const [ns, n] of component.counts) count(ns, n);
  for (const ns of added.values()) count(ns, 1);
  return counts;
}
