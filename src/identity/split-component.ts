import type { Uuid } from '../platform/ids.js';
import { ComponentReplay } from './component-replay.js';
import type { Evidence } from './evidence.model.js';
import { NO_LINKS, type IdentifierPair, type IdentityLinks } from './identity-links.model.js';
import { withinLimits, type IdentityRules } from './identity-rules.model.js';

/** Rows of evidence of a component that are looked at to see what it falls into; one that has more stays whole. */
export const MAX_SPLIT_ROWS = 100_000;

/** A raw component that is left of one from which evidence or links were taken away. */
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
  readonly links?: IdentityLinks;
  readonly rules: IdentityRules;
  readonly maxReplayRows: number;
}

/**
 * What a raw component falls into once evidence or links were taken away: its parts that evidence and must-links still
 * connect, each resolved as if the rest had never been. A part keeps the component's id where it has the member that gave it; so no two parts, nor a component
 * that an identifier which vanished may found later, share one.
 */
export function splitComponent(input: SplitInput): SplitComponent {
  const { id, members, evidence, links = NO_LINKS, rules, maxReplayRows } = input;
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
  for (const [a, b] of links.mustLinks) if (rootOf.has(a) && rootOf.has(b)) rootOf.set(find(a), find(b));
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
      groups: withinLimits(counts, rules, links.cannotLinks.some(isWithin(new Set(own))))
        ? [own]
        : replayed(new ComponentReplay(rules, links), evidenceOf.get(root) ?? [], maxReplayRows),
    };
  });
  return { parts, vanished: [...members.keys()].filter((member) => !rootOf.has(member)) };
}

/** Whether both ends of a pair are among these. */
function isWithin(ids: ReadonlySet<Uuid>): (pair: IdentifierPair) => boolean {
  return ([a, b]) => ids.has(a) && ids.has(b);
}

function replayed(replay: ComponentReplay, evidence: readonly Evidence[], maxRows: number): readonly Uuid[][] | null {
  for (const row of evidence) replay.add(row);
  return replay.rows <= maxRows ? replay.advance() : null;
}

function push<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}
