import type { LoggedEvent } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import type { Component } from './component.model.js';
import { hasLinks, type LinkIndex } from './identity-links.model.js';
import { withinLimits, type IdentityRules } from './identity-rules.model.js';

/** What events will have joined once all are applied. */
interface Cluster {
  readonly components: Set<Component>;
  /** Namespaces of new identifiers, by id. */
  readonly added: Map<Uuid, string>;
  /** Whether somebody said of one of them who it is not. */
  hasCannotLinks: boolean;
}

/**
 * The known components that may be beyond limits at some moment while these events are applied: a component only grows,
 * so those that are not beyond them at the end never are.
 *
 * @param componentOf of an identifier; undefined: a new one
 * @param links of all of the events' identifiers; null: there are none
 */
export function findBeyondLimits(
  events: readonly LoggedEvent[],
  componentOf: (identifierId: Uuid) => Component | undefined,
  rules: IdentityRules,
  links: LinkIndex | null = null,
): Component[] {
  // New identifiers alone join nobody who is known.
  if (
    links === null &&
    !events.some(({ identifiers }) => identifiers.some(({ id }) => componentOf(id) !== undefined))
  ) {
    return [];
  }
  const clusterOf = new Map<Component | Uuid, Cluster>();
  const found = new Set<Component>();
  const namespaces = new Map(links === null ? [] : events.flatMap((e) => e.identifiers.map(({ id, ns }) => [id, ns])));
  for (const { identifiers } of events) {
    const first = componentOf(identifiers[0]?.id ?? '');
    const isLinked = links !== null && identifiers.some(({ id }) => hasLinks(links.of(id)));
    const isOne =
      first === undefined ? identifiers.length < 2 : identifiers.every(({ id }) => componentOf(id) === first);
    if (isOne && !isLinked) {
      if (first !== undefined && !found.has(first) && !isWithin(first, rules)) found.add(first);
      continue;
    }
    let cluster: Cluster | undefined;
    const take = (id: Uuid, ns: string | null): void => {
      const component = componentOf(id);
      if (component === undefined && ns === null) return;
      const own = clusterOf.get(component ?? id) ?? newCluster(component, id, ns ?? '');
      cluster = cluster === undefined || cluster === own ? own : join(clusterOf, cluster, own);
      clusterOf.set(component ?? id, cluster);
    };
    for (const { id, ns } of identifiers) {
      take(id, ns);
      for (const other of links?.mustWith(id) ?? []) take(other, namespaces.get(other) ?? null);
      if (cluster !== undefined && links?.hasCannot(id) === true) cluster.hasCannotLinks = true;
    }
  }
  for (const cluster of new Set(clusterOf.values())) {
    if (!withinLimits(countsOf(cluster), rules, cluster.hasCannotLinks))
      for (const component of cluster.components) found.add(component);
  }
  return [...found];
}

function isWithin({ counts, links }: Component, rules: IdentityRules): boolean {
  return withinLimits(counts, rules, links.cannotLinks.length > 0);
}

function newCluster(component: Component | undefined, id: Uuid, ns: string): Cluster {
  return component === undefined
    ? { components: new Set(), added: new Map([[id, ns]]), hasCannotLinks: false }
    : { components: new Set([component]), added: new Map(), hasCannotLinks: component.links.cannotLinks.length > 0 };
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
  into.hasCannotLinks ||= from.hasCannotLinks;
  return into;
}

function countsOf({ components, added }: Cluster): Map<string, number> {
  const counts = new Map<string, number>();
  const count = (ns: string, n: number): unknown => counts.set(ns, (counts.get(ns) ?? 0) + n);
  for (const component of components) for (const [ns, n] of component.counts) count(ns, n);
  for (const ns of added.values()) count(ns, 1);
  return counts;
}
