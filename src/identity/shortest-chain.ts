import type { Uuid } from '../platform/ids.js';

/** Something that says of some identifiers that they are one person's. */
export interface Tie {
  /** At least two. */
  readonly ids: readonly Uuid[];
}

export interface ChainStep<T extends Tie> {
  readonly from: Uuid;
  readonly to: Uuid;
  readonly tie: T;
}

/**
 * The shortest way from one identifier to another, each step by one tie; null if there is none. Of several shortest ways
 * the one whose ties come first in the list. Looks at each tie once: the cost is that of reading them.
 */
export function shortestChain<T extends Tie>(from: Uuid, to: Uuid, ties: readonly T[]): ChainStep<T>[] | null {
  if (from === to) return [];
  const tiesOf = new Map<Uuid, T[]>();
  for (const tie of ties) {
    for (const id of tie.ids) {
      const known = tiesOf.get(id);
      if (known === undefined) tiesOf.set(id, [tie]);
      else known.push(tie);
    }
  }
  const cameBy = new Map<Uuid, ChainStep<T>>();
  const looked = new Set<T>();
  const queue = [from];
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    for (const tie of tiesOf.get(at) ?? []) {
      if (looked.has(tie)) continue;
      looked.add(tie);
      for (const id of tie.ids) {
        if (id === from || cameBy.has(id)) continue;
        cameBy.set(id, { from: at, to: id, tie });
        if (id === to) return chainTo(to, from, cameBy);
        queue.push(id);
      }
    }
  }
  return null;
}

function chainTo<T extends Tie>(to: Uuid, from: Uuid, cameBy: ReadonlyMap<Uuid, ChainStep<T>>): ChainStep<T>[] {
  const chain: ChainStep<T>[] = [];
  for (let at = to; at !== from;) {
    const step = cameBy.get(at);
    if (step === undefined) throw new Error('a chain has no start');
    chain.push(step);
    at = step.from;
  }
  return chain.reverse();
}
