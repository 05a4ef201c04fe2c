import type { Uuid } from '../platform/ids.js';
import { ComponentReplay } from './component-replay.js';
import type { Evidence } from './evidence.model.js';
import { withinLimits, type IdentityRules } from './identity-rules.model.js';

/** A raw component that is left of one from which evidence was taken away. */
export interface ComponentPart {
  /** Its id from now on, which is that of one of its members. */
  readonly id: Uuid;
  readonly members: readonly Uuid[];
  /** Who stands for one person; null: it has too much evidence to be replayed, and everybody stays where they are. */
  readonly groups: readonly (readonly Uuid[])[] | null;
}

export interface SplitComponent {
  readonly parts: readonly ComponentPart[];
  /** Members that no evidence names any more. */
  readonly vanished: readonly Uuid[];
}

interface SplitInput {
  readonly id: Uuid;
  /** Namespaces of the members, by id. */
  readonly members: ReadonlyMap<Uuid, { readonly ns: string }>;
  /** All that is left, in any order. */
  readonly evidence: readonly Evidence[];
  readonly rules: IdentityRules;
  readonly maxReplayRows: number;
}

/**
 * What a raw component falls into once evidence was taken away: its connected parts, each resolved as if the rest had
 * never been. A part keeps the component's id where it has the member that gave it; so no two parts, nor a component
 * that an identifier which vanished may found later, share one.
 */
export function splitComponent({ id, members, evidence, rules, maxReplayRows }: SplitInput): SplitComponent {
  const rootOf = new Map<Uuid, Uuid>();
  const find = (member: Uuid): Uuid => {
    let root = member;
    for (let up = rootOf.get(root); up !== undefined && up !== root; up = rootOf.get(root)) root = up;
    rootOf.set(member, root);
    return root;
  };
  for (const { identifiers } of evidence) {
    let root: Uuid | undefined;
    for (const identifier of identifiers) {
      if (!rootOf.has(identifier.id)) rootOf.set(identifier.id, identifier.id);
      const other = find(identifier.id);
      if (root === undefined) root = other;
      else rootOf.set(other, root);
    }
  }
  const membersOf = new Map<Uuid, Uuid[]>();
  for (const member of rootOf.keys()) push(membersOf, find(member), member);
  const evidenceOf = new Map<Uuid, Evidence[]>();
  for (const row of evidence) push(evidenceOf, find(row.identifiers[0]?.id ?? row.anchorId), row);
  const parts = [...membersOf].map(([root, own]): ComponentPart => {
    own.sort();
    const counts = new Map<string, number>();
    for (const member of own) {
      const ns = members.get(member)?.ns ?? '';
      counts.set(ns, (counts.get(ns) ?? 0) + 1);
    }
    return {
      id: own.includes(id) ? id : (own[0] ?? id),
      members: own,
      groups: withinLimits(counts, rules) ? [own] : replayed(evidenceOf.get(root) ?? [], rules, maxReplayRows),
    };
  });
  return { parts, vanished: [...members.keys()].filter((member) => !rootOf.has(member)) };
}

function replayed(evidence: readonly Evidence[], rules: IdentityRules, maxRows: number): readonly Uuid[][] | null {
  const replay = new ComponentReplay(rules);
  for (const row of evidence) replay.add(row);
  return replay.rows <= maxRows ? replay.advance() : null;
}

function push<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
