export const LINEAGE_KINDS = ['source', 'event', 'entity', 'view', 'feature', 'service', 'model', 'segment'] as const;
export type LineageKind = (typeof LINEAGE_KINDS)[number];

/** A thing by its kind and its name or key. The event `*` stands for all events. */
export interface LineageNode {
  readonly kind: LineageKind;
  readonly name: string;
}

/** What `to` is made of, or reads: `from`. */
export interface LineageEdge {
  readonly from: LineageNode;
  readonly to: LineageNode;
}

/** What hangs together: sources and events, entities, views, features, services, models, segments. Each edge once. */
export interface LineageGraph {
  readonly nodes: readonly LineageNode[];
  readonly edges: readonly LineageEdge[];
}

export const LINEAGE_DIRECTIONS = ['up', 'down', 'both'] as const;
/** `up`: what it is made of; `down`: what is made of it; `both`: these two, not what else their ends lead to. */
export type LineageDirection = (typeof LINEAGE_DIRECTIONS)[number];

export interface ReachedNode extends LineageNode {
  /** How many edges away, at least; 0: what was asked about. */
  readonly distance: number;
}

/** A part of a graph, the nearest first. */
export interface Lineage {
  readonly nodes: readonly ReachedNode[];
  /** Between these nodes. */
  readonly edges: readonly LineageEdge[];
  /** Whether there were more than {@link MAX_LINEAGE_NODES} nodes, of which the nearest are here. */
  readonly isTruncated: boolean;
}

export const MAX_LINEAGE_NODES = 2_000;
export const MAX_LINEAGE_DEPTH = 20;

/** Puts edges together to a graph, each node and each edge once, in the order of their first mention. */
export function lineageGraph(nodes: readonly LineageNode[], edges: readonly LineageEdge[]): LineageGraph {
  const known = new Map<string, LineageNode>();
  for (const node of [...nodes, ...edges.flatMap(({ from, to }) => [from, to])]) {
    if (!known.has(keyOf(node))) known.set(keyOf(node), node);
  }
  const drawn = new Map(edges.map((edge) => [`${keyOf(edge.from)}\n${keyOf(edge.to)}`, edge]));
  return { nodes: [...known.values()], edges: [...drawn.values()] };
}

/** What is reached from a node within `depth` edges; null: there is no such node. */
export function walkLineage(
  graph: LineageGraph,
  of: LineageNode,
  direction: LineageDirection,
  depth: number,
): Lineage | null {
  const start = graph.nodes.find((node) => keyOf(node) === keyOf(of));
  if (start === undefined) return null;
  const reached = new Map<string, ReachedNode>([[keyOf(start), { ...start, distance: 0 }]]);
  const ways = direction === 'both' ? (['up', 'down'] as const) : [direction];
  const isTruncated = ways.map((way) => walk(graph, start, way, depth, reached)).some(Boolean);
  const nodes = [...reached.values()].sort((a, b) => a.distance - b.distance);
  const edges = graph.edges.filter(({ from, to }) => reached.has(keyOf(from)) && reached.has(keyOf(to)));
  return { nodes, edges, isTruncated };
}

/** @returns whether there was more than fits */
function walk(
  { edges }: LineageGraph,
  start: LineageNode,
  way: 'up' | 'down',
  depth: number,
  reached: Map<string, ReachedNode>,
): boolean {
  const next = new Map<string, LineageNode[]>();
  for (const { from, to } of edges) {
    const [here, there] = way === 'down' ? [from, to] : [to, from];
    const list = next.get(keyOf(here));
    if (list === undefined) next.set(keyOf(here), [there]);
    else list.push(there);
  }
  const seen = new Set([keyOf(start)]);
  let front: readonly LineageNode[] = [start];
  for (let distance = 1; distance <= depth && front.length > 0; distance++) {
    const found: LineageNode[] = [];
    for (const node of front.flatMap((each) => next.get(keyOf(each)) ?? [])) {
      const key = keyOf(node);
      if (seen.has(key)) continue;
      seen.add(key);
      if (!reached.has(key)) {
        if (reached.size >= MAX_LINEAGE_NODES) return true;
        reached.set(key, { ...node, distance });
      }
      found.push(node);
    }
    front = found;
  }
  return false;
}

function keyOf({ kind, name }: LineageNode): string {
  return `${kind} ${name}`;
}
