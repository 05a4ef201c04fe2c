import type { Identifier } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';
import { compareEvidence, type Evidence } from './evidence.model.js';
import { IdentifierGroups, type GroupNode } from './identifier-groups.js';
import { compareByPriority, ruleOf, type IdentityRules } from './identity-rules.model.js';

/*
 * Resolution of one raw component by canonical replay.
 *
 *   evidence ──sort──▶ for each row: R = its identifiers, by falling priority, the anchor first
 *                        │
 *                        ▼
 *                 may the groups of R be united? ──yes──▶ unite them, next row
 *                        │no                                   ▲
 *                        ▼                                      │
 *                 drop the last of R ──only the anchor left────┘
 *
 * Invariants
 * 1. The result is a function of the *set* of evidence, the rules and the links. Rows are sorted by
 *    (occurredAt, sourceId, messageId, setId) first, so neither arrival nor batching can show.
 * 2. The result is a partition: every identifier stands in exactly one group. One that was dropped from a row keeps the
 *    group it had, alone if it had none.
 * 3. An anchor is never dropped from its row, so that a row's events always stand where their anchor stands.
 * 4. No group breaks a limit, save by must-links, and none holds both ends of a cannot-link (`identifier-groups.ts`).
 * 5. Where no union can break a rule (`withinLimits`), nothing is dropped and the groups are the connected parts of the
 *    evidence and the must-links; for a raw component that is one group.
 * 6. Rows that share no identifier, link or chain of such do not influence each other: resolving components one by one
 *    or all at once is the same.
 */

/** Rows of evidence beyond which a component is contested: to be resolved aside, not within a micro-batch. */
export const MAX_REPLAY_ROWS = 10_000;

export type IdentifierPair = readonly [Uuid, Uuid];

/** Decisions by people. Pairs with an end that is not in the evidence have no effect. */
export interface IdentityLinks {
  /** Joined before any evidence, limits aside; the values so joined count as one towards limits. */
  readonly mustLinks: readonly IdentifierPair[];
  /** Never in one group, whatever the evidence; stronger than must-links. */
  readonly cannotLinks: readonly IdentifierPair[];
}

export const NO_LINKS: IdentityLinks = { mustLinks: [], cannotLinks: [] };

interface Resolution {
  /** Identifier ids, sorted; the groups are sorted by their first id. */
  readonly groups: readonly (readonly Uuid[])[];
  /** Rows of evidence that could not join all of their identifiers. */
  readonly demotedRows: number;
}

/**
 * @param evidence all rows of one raw component (or of several), in any order, one for each (set, day)
 * @throws RangeError if an identifier's namespace is not allowed by the rules
 */
export function resolveComponent(
  evidence: readonly Evidence[],
  rules: IdentityRules,
  links: IdentityLinks = NO_LINKS,
): Resolution {
  const rows = [...evidence].sort(compareEvidence);
  const nodes = nodesOf(rows, rules);
  const indexOf = new Map(nodes.map(({ identifier }, i) => [identifier.id, i]));
  const groups = new IdentifierGroups(
    nodes,
    indexPairs(links.mustLinks, indexOf),
    indexPairs(links.cannotLinks, indexOf),
  );

  let demotedRows = 0;
  for (const row of rows) {
    const members = membersOf(row, indexOf);
    const count = groups.longestMergingPrefix(members, groups.longestLawfulPrefix(members));
    groups.unite(members, count);
    if (count < members.length) demotedRows++;
  }
  return {
    groups: groups
      .groups()
      .map((group) => idsOf(group, nodes))
      .sort(compareFirst),
    demotedRows,
  };
}

/** The distinct identifiers by falling priority, so that comparing indices compares priorities. */
function nodesOf(rows: readonly Evidence[], rules: IdentityRules): GroupNode[] {
  const firstSeen = new Map<Uuid, { identifier: Identifier; firstSeen: number }>();
  for (const { identifiers, key } of rows) {
    for (const identifier of identifiers) {
      if (!firstSeen.has(identifier.id)) firstSeen.set(identifier.id, { identifier, firstSeen: key.occurredAt });
    }
  }
  return [...firstSeen.values()]
    .map(({ identifier, firstSeen }) => {
      const rule = ruleOf(rules, identifier.ns);
      if (rule === undefined) throw new RangeError(`namespace ${identifier.ns} is not allowed by the rules`);
      return { identifier, rule, firstSeen };
    })
    .sort((a, b) => b.rule.priority - a.rule.priority || compareByPriority(rules, a.identifier, b.identifier));
}

/** A row's identifiers as indices: the anchor, then the others by falling priority. */
function membersOf(row: Evidence, indexOf: ReadonlyMap<Uuid, number>): number[] {
  const members: number[] = [];
  for (const { id } of row.identifiers) {
    const index = indexOf.get(id);
    if (index !== undefined) members.push(index);
  }
  const anchor = indexOf.get(row.anchorId);
  return members.sort((a, b) => (a === anchor ? -1 : b === anchor ? 1 : a - b));
}

/** The pairs that apply here, in an order that does not depend on how they were handed in. */
function indexPairs(pairs: readonly IdentifierPair[], indexOf: ReadonlyMap<Uuid, number>): [number, number][] {
  const indexed: [number, number][] = [];
  for (const [idA, idB] of pairs) {
    const a = indexOf.get(idA);
    const b = indexOf.get(idB);
    if (a !== undefined && b !== undefined && a !== b) indexed.push([Math.min(a, b), Math.max(a, b)]);
  }
  return indexed.sort((p, q) => p[0] - q[0] || p[1] - q[1]);
}

function idsOf(group: readonly number[], nodes: readonly GroupNode[]): Uuid[] {
  const ids: Uuid[] = [];
  for (const index of group) {
    const node = nodes[index];
    if (node !== undefined) ids.push(node.identifier.id);
  }
  return ids.sort();
}

function compareFirst(a: readonly Uuid[], b: readonly Uuid[]): number {
  const [x = ''] = a;
  const [y = ''] = b;
  return x < y ? -1 : x > y ? 1 : 0;
}
