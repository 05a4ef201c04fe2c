import type { Identifier, LoggedEvent } from '../../src/events/event.model.js';
import { evidenceOf, leastEvidence, type Evidence } from '../../src/identity/evidence.model.js';
import {
  compareByPriority,
  DEFAULT_IDENTITY_RULES,
  type IdentityRules,
  type NamespaceRule,
  type SharedPolicy,
} from '../../src/identity/identity-rules.model.js';
import type { IdentifierPair, IdentityLinks } from '../../src/identity/identity-links.model.js';
import { hashId } from '../../src/platform/ids.js';
import { idOfName, naivePartition, type NaivePair, type NaiveRow } from './naive-identity.js';

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

/** The definition (`naive-identity.ts`) for rows of evidence: ids of identifiers, sorted. */
export function naiveResolve(evidence: readonly Evidence[], rules: IdentityRules, links: IdentityLinks): string[][] {
  const named = new Map(evidence.flatMap((row) => row.identifiers.map((each) => [each.id, nameOf(each)])));
  const nameOfId = (id: string): string => named.get(id) ?? id;
  const rows = evidence.map(({ anchorId, day, identifiers, key, knownAt, uncounted = [] }): NaiveRow => {
    const { occurredAt: atMs, sourceId, messageId } = key;
    const names = identifiers.map(nameOf);
    const anchor = nameOfId(anchorId);
    return { atMs, sourceId, messageId, acceptedAt: knownAt, day, anchor, names, generic: uncounted.map(nameOf) };
  });
  const pairs = (of: readonly IdentifierPair[]): NaivePair[] => of.map(([a, b]) => [nameOfId(a), nameOfId(b)]);
  const decided = { must: pairs(links.mustLinks), cannot: pairs(links.cannotLinks) };
  return sortGroups(naivePartition(rows, rules, decided).map((group) => [...group].map(idOfName)));
}
