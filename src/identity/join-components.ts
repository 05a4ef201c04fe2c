import type { Uuid } from '../platform/ids.js';
import type { Evidence } from './evidence.model.js';

/**
 * Which components evidence makes part of others.
 * @param componentOf of all identifiers that the evidence names
 * @returns no component twice in `from`, and none that is in `from` in `into`
 */
export function joinedBy(
  evidence: readonly Evidence[],
  componentOf: ReadonlyMap<Uuid, Uuid>,
): readonly { readonly from: Uuid; readonly into: Uuid }[] {
  const upOf = new Map<Uuid, Uuid>();
  const find = (id: Uuid): Uuid => {
    let root = id;
    for (let up = upOf.get(root); up !== undefined; up = upOf.get(root)) root = up;
    return root;
  };
  for (const { identifiers } of evidence) {
    const [first = '', ...others] = identifiers.map(({ id }) => componentOf.get(id) ?? id);
    for (const other of others) {
      const [into, from] = [find(first), find(other)];
      if (into !== from) upOf.set(from, into);
    }
  }
  return [...upOf.keys()].map((from) => ({ from, into: find(from) }));
}
