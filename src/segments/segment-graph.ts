import { WeftError } from '../platform/errors.js';
import { nearestName } from '../platform/near-names.js';

/** What the graph needs of a segment; a CompiledSegment is one. */
export interface GraphNode {
  readonly key: string;
  readonly featureDeps: readonly number[];
  readonly traitDeps: readonly string[];
  readonly modelDeps: readonly string[];
  readonly segmentDeps: readonly string[];
  readonly timeDependent: boolean;
}

/** What is new for one profile. */
export interface Affecting {
  readonly features?: Iterable<number>;
  readonly traits?: Iterable<string>;
  readonly models?: Iterable<string>;
}

/**
 * Keys in an order in which each segment comes after those it refers to; among equals in the order of `nodes`.
 * @throws WeftError EXPRESSION_INVALID on a reference to an unknown segment, and on a cycle, with its path.
 */
export function orderSegments(nodes: readonly Pick<GraphNode, 'key' | 'segmentDeps'>[]): string[] {
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  const order: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  // Depth is bounded by the number of segments on one path of references.
  const visit = (key: string, from: string): void => {
    if (done.has(key)) return;
    const node = byKey.get(key);
    if (node === undefined) throw unknownSegment(key, from, byKey.keys());
    const start = path.indexOf(key);
    if (start !== -1) throw cycle([...path.slice(start), key]);
    path.push(key);
    for (const dependency of node.segmentDeps) visit(dependency, key);
    path.pop();
    done.add(key);
    order.push(key);
  };
  for (const { key } of nodes) visit(key, key);
  return order;
}

function unknownSegment(key: string, from: string, known: Iterable<string>): WeftError {
  const near = nearestName(key, known);
  const message = `unknown segment "${key}"${near === undefined ? '' : `; did you mean "${near}"?`}`;
  return new WeftError('EXPRESSION_INVALID', message, { where: from, hint: 'refer to an active segment by its key' });
}

function cycle(path: readonly string[]): WeftError {
  return new WeftError('EXPRESSION_INVALID', `segments refer to each other in a circle: ${path.join(' → ')}`, {
    where: path[0] ?? '',
    hint: 'take one of the references out',
  });
}

/** Sets of segments are bit sets over their positions. */
type Bits = Uint32Array;

function addBits(into: Bits, from: Bits | undefined): void {
  if (from === undefined) return;
  for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) | (from[i] as number);
}

/**
 * The segments in an order in which they can be evaluated, and which of them may change with a feature, a trait or a
 * model. Whatever refers to a segment that may change may change too, so answers are closed under reference.
 */
export class SegmentGraph<S extends GraphNode> {
  /** Each segment after all that it refers to. */
  readonly ordered: readonly S[];
  /** Those that time alone may change, with all that refer to them. */
  readonly timeDriven: readonly S[];
  readonly #byFeature = new Map<number, Bits>();
  readonly #byTrait = new Map<string, Bits>();
  readonly #byModel = new Map<string, Bits>();
  readonly #scratch: Bits;

  private constructor(ordered: readonly S[]) {
    this.ordered = ordered;
    this.#scratch = this.#none();
    const positions = new Map(ordered.map((segment, position) => [segment.key, position]));
    // Walked backwards, a segment's own set is complete before the segments it refers to take it over.
    const dependents = ordered.map(() => this.#none());
    const timeDriven = this.#none();
    for (let position = ordered.length - 1; position >= 0; position--) {
      const segment = ordered[position] as S;
      const own = dependents[position] as Bits;
      own[position >>> 5] = (own[position >>> 5] as number) | (1 << (position & 31));
      for (const key of segment.segmentDeps) addBits(dependents[positions.get(key) as number] as Bits, own);
      if (segment.timeDependent) addBits(timeDriven, own);
      this.#index(this.#byFeature, segment.featureDeps, own);
      this.#index(this.#byTrait, segment.traitDeps, own);
      this.#index(this.#byModel, segment.modelDeps, own);
    }
    this.timeDriven = this.#segmentsOf(timeDriven);
  }

  /** @throws WeftError as {@link orderSegments}. */
  static build<S extends GraphNode>(segments: readonly S[]): SegmentGraph<S> {
    const byKey = new Map(segments.map((segment) => [segment.key, segment]));
    return new SegmentGraph(orderSegments(segments).map((key) => byKey.get(key) as S));
  }

  /** The segments to evaluate again, in order. */
  affectedBy(changed: Affecting): S[] {
    const bits = this.#scratch.fill(0);
    for (const feature of changed.features ?? []) addBits(bits, this.#byFeature.get(feature));
    for (const trait of changed.traits ?? []) addBits(bits, this.#byTrait.get(trait));
    for (const model of changed.models ?? []) addBits(bits, this.#byModel.get(model));
    return this.#segmentsOf(bits);
  }

  #none(): Bits {
    return new Uint32Array(Math.ceil(this.ordered.length / 32));
  }

  #index<K>(into: Map<K, Bits>, keys: readonly K[], bits: Bits): void {
    for (const key of keys) {
      const known = into.get(key) ?? this.#none();
      addBits(known, bits);
      into.set(key, known);
    }
  }

  #segmentsOf(bits: Bits): S[] {
    const segments: S[] = [];
    for (let word = 0; word < bits.length; word++) {
      let rest = bits[word] as number;
      while (rest !== 0) {
        const low = 31 - Math.clz32(rest & -rest);
        segments.push(this.ordered[(word << 5) + low] as S);
        rest &= rest - 1;
      }
    }
    return segments;
  }
}
