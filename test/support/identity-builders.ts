import { compareCanonical, type Identifier, type LoggedEvent } from '../../src/events/event.model.js';
import { evidenceOf, leastEvidence, type Evidence } from '../../src/identity/evidence.model.js';
import {
  compareByPriority,
  DEFAULT_IDENTITY_RULES,
  ruleOf,
  type IdentityRules,
  type NamespaceRule,
  type SharedPolicy,
} from '../../src/identity/identity-rules.model.js';
import type { IdentifierPair, IdentityLinks } from '../../src/identity/identity-links.model.js';
import { hashId } from '../../src/platform/ids.js';

export const HOUR_MS = 60 * 60 * 1000;
export const DAY_MS = 24 * HOUR_MS;

/** Noon of 2024-01-01, UTC. */
export const START_MS = Date.UTC(2024, 0, 1, 12);

/** The rules with these policies for identifiers that several people share. */
export function whereShared(rules: IdentityRules, policies: Readonly<Record<string, SharedPolicy>>): IdentityRules {
  const namespaces = [...rules.namespaces].map(([ns, rule]): [string, NamespaceRule] => {
    const shared = policies[ns];
    return [ns, shared === undefined ? rule : { ...rule, shared }];
  });
  return { ...rules, namespaces: new Map(namespaces) };
}

/** `email:ana@example.com` as an identifier. */
export function anIdentifier(name: string): Identifier {
  const colon = name.indexOf(':');
  const [ns, value] = [name.slice(0, colon), name.slice(colon + 1)];
  return { id: hashId(ns, value), ns, value };
}

export function nameOf({ ns, value }: Identifier): string {
  return `${ns}:${value}`;
}

export interface EventSketch {
  readonly atMs: number;
  /** As for {@link anIdentifier}, in any order. */
  readonly names: readonly string[];
  readonly pos?: number;
  readonly sourceId?: number;
  readonly messageId?: string;
  readonly acceptedAt?: number;
}

export function anEvent(sketch: EventSketch, rules: IdentityRules = DEFAULT_IDENTITY_RULES): LoggedEvent {
  return {
    pos: sketch.pos ?? 1,
    part: 0,
    sourceId: sketch.sourceId ?? 1,
    messageId: sketch.messageId ?? `at-${String(sketch.atMs)}`,
    type: 'track',
    name: 'seen',
    occurredAt: sketch.atMs,
    acceptedAt: sketch.acceptedAt ?? sketch.atMs,
    historical: false,
    identifiers: sketch.names.map(anIdentifier).sort((a, b) => compareByPriority(rules, a, b)),
    properties: {},
    traits: {},
    context: {},
    groupId: null,
  };
}

/** Evidence that these identifiers were seen together, `atHours` after the start. */
export function seen(atHours: number, ...names: string[]): Evidence {
  return evidenceOf(anEvent({ atMs: START_MS + atHours * HOUR_MS, names }));
}

/** The evidence of events, one row for each set and day. */
export function evidenceRows(events: readonly LoggedEvent[]): Evidence[] {
  const rows = new Map<string, Evidence>();
  for (const event of events) {
    const row = evidenceOf(event);
    const key = `${row.setId} ${String(row.day)}`;
    const known = rows.get(key);
    rows.set(key, known === undefined ? row : leastEvidence(known, row));
  }
  return [...rows.values()];
}

/** Groups of ids as sorted lists of readable names, in a fixed order. */
export function readable(groups: readonly (readonly string[])[], names: readonly string[]): string[][] {
  const nameById = new Map(names.map((name) => [anIdentifier(name).id, name]));
  return sortGroups(groups.map((group) => group.map((id) => nameById.get(id) ?? id)));
}

export function sortGroups(groups: readonly (readonly string[])[]): string[][] {
  return groups.map((group) => [...group].sort()).sort((a, b) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1));
}

/** Connected parts of sets, by repeated merging. */
export function naiveComponents(sets: readonly (readonly string[])[]): string[][] {
  let parts: Set<string>[] = [];
  for (const set of sets) {
    const touched = parts.filter((part) => set.some((id) => part.has(id)));
    parts = [...parts.filter((part) => !touched.includes(part)), new Set([...set, ...touched.flatMap((t) => [...t])])];
  }
  return sortGroups(parts.map((part) => [...part]));
}

/** Whether a row may join an identifier, which several people may share: the definition at the head of `shared-identifiers.ts`. */
function naiveSharing(
  rows: readonly Evidence[],
  rules: IdentityRules,
  { mustLinks }: IdentityLinks,
): (id: string, row: Evidence) => boolean {
  const oneByDecision = naiveComponents(mustLinks.map(([a, b]) => [a, b]));
  const personOf = (id: string): string => oneByDecision.find((ids) => ids.includes(id))?.[0] ?? id;
  const valuesOf = (row: Evidence, ns: string, besides: string): string[] =>
    row.identifiers
      .filter((i) => i.ns === ns && i.id !== besides)
      .sort((a, b) => (a.value < b.value ? -1 : 1))
      .map(({ id }) => personOf(id));
  const uniqueNamespaces = [...new Set(rows.flatMap((row) => row.identifiers.map(({ ns }) => ns)))]
    .filter((ns) => ruleOf(rules, ns)?.limit === 1 && ruleOf(rules, ns)?.windowMs === null)
    .sort((a, b) => (ruleOf(rules, b)?.priority ?? 0) - (ruleOf(rules, a)?.priority ?? 0) || (a < b ? -1 : 1));
  return (id, row) => {
    const ns = row.identifiers.find((i) => i.id === id)?.ns ?? '';
    const policy = ruleOf(rules, ns)?.shared ?? 'link';
    if (policy === 'link') return true;
    const naming = rows.filter((other) => other.identifiers.some((i) => i.id === id));
    for (const unique of uniqueNamespaces) {
      const people = new Set(naming.flatMap((other) => valuesOf(other, unique, id)));
      if (people.size < 2) continue;
      if (policy === 'isolate' || people.size > 10) return false;
      const last = naming.flatMap((other) => valuesOf(other, unique, id).slice(0, 1)).at(-1);
      return valuesOf(row, unique, id).includes(last ?? '');
    }
    return true;
  };
}

/**
 * The oracle of `resolve-component.ts`: the definition, step by step, with sets of ids and no cleverness. After each
 * refusal it drops the last identifier and judges the whole union again, looking at every window.
 */
export function naiveResolve(evidence: readonly Evidence[], rules: IdentityRules, links: IdentityLinks): string[][] {
  const rows = [...evidence].sort((a, b) => compareCanonical(a.key, b.key) || (a.setId < b.setId ? -1 : 1));
  const all = new Map(rows.flatMap((row) => row.identifiers.map((identifier) => [identifier.id, identifier])));
  let groups = [...all.keys()].map((id) => new Set([id]));
  const groupOf = (id: string): Set<string> => groups.find((group) => group.has(id)) ?? new Set([id]);
  const unite = (ids: readonly string[]): void => {
    const touched = new Set(ids.map(groupOf));
    groups = [...groups.filter((group) => !touched.has(group)), new Set([...touched].flatMap((group) => [...group]))];
  };

  const inOrder = [...all.values()].sort((a, b) => compareByPriority(rules, a, b)).map(({ id }) => id);
  const normal = (pairs: readonly IdentifierPair[]): [number, number][] =>
    pairs
      .map(([a, b]): [number, number] => {
        const [x, y] = [inOrder.indexOf(a), inOrder.indexOf(b)];
        return [Math.min(x, y), Math.max(x, y)];
      })
      .filter(([x, y]) => x >= 0 && x !== y)
      .sort((p, q) => p[0] - q[0] || p[1] - q[1]);
  const forbidden = (ids: ReadonlySet<string>): boolean =>
    links.cannotLinks.some(([a, b]) => a !== b && ids.has(a) && ids.has(b));
  for (const [x, y] of normal(links.mustLinks)) {
    const pair = [inOrder[x] ?? '', inOrder[y] ?? ''];
    if (!forbidden(new Set(pair.flatMap((id) => [...groupOf(id)])))) unite(pair);
  }
  const sameByDecision = groups.map((group) => new Set(group));

  const firstSeen = (id: string): number =>
    Math.min(...rows.filter((row) => row.identifiers.some((i) => i.id === id)).map((row) => row.key.occurredAt));
  const tooMany = (ids: ReadonlySet<string>): boolean =>
    [...new Set([...all.values()].map(({ ns }) => ns))].some((ns) => {
      const rule = ruleOf(rules, ns);
      if (rule === undefined) throw new Error(`no rule for ${ns}`);
      const times = sameByDecision
        .map((same) => [...same].filter((id) => ids.has(id) && all.get(id)?.ns === ns))
        .filter((same) => same.length > 0)
        .map((same) => Math.min(...same.map(firstSeen)));
      const { windowMs, limit } = rule;
      if (windowMs === null) return times.length > limit;
      return times.some((start) => times.filter((t) => t >= start && t < start + windowMs).length > limit);
    });
  const tooLarge = (ids: ReadonlySet<string>): boolean => ids.size > (rules.maxIdentifiers ?? Infinity);
  const bridges = (ids: readonly string[]): boolean => {
    const established = [...new Set(ids.map(groupOf))].filter((group) => group.size > 1);
    const named = (group: Set<string>): boolean =>
      ids.some((id) => group.has(id) && ruleOf(rules, all.get(id)?.ns ?? '')?.mayMerge === true);
    return established.length > 1 && !established.every(named);
  };

  const mayJoin = naiveSharing(rows, rules, links);
  for (const row of rows) {
    const others = row.identifiers.filter(({ id }) => id !== row.anchorId);
    const inTurn = [row.anchorId, ...others.sort((a, b) => compareByPriority(rules, a, b)).map(({ id }) => id)];
    const ids = mayJoin(row.anchorId, row) ? inTurn.filter((id) => mayJoin(id, row)) : [row.anchorId];
    for (;;) {
      const union = new Set(ids.flatMap((id) => [...groupOf(id)]));
      if (ids.length === 1 || !(tooLarge(union) || tooMany(union) || forbidden(union) || bridges(ids))) break;
      ids.pop();
    }
    unite(ids);
  }
  return sortGroups(groups.map((group) => [...group]));
}
