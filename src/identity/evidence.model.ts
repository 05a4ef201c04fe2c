import { compareCanonical, type CanonicalKey, type Identifier, type LoggedEvent } from '../events/event.model.js';
import { hashId, type Uuid } from '../platform/ids.js';
import { countedOf, inAnchorOrder } from './generic-value.model.js';
import type { IdentityRules } from './identity-rules.model.js';

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * That a set of identifiers was seen together on one UTC day. One row stands for all events of that day that carry
 * exactly this set; its key is the least of theirs, so the rows do not depend on the order of arrival.
 */
export interface Evidence {
  readonly anchorId: Uuid;
  /** Hash of the set's identifier ids. */
  readonly setId: Uuid;
  /**
   * Days since 1970-01-01, UTC. 0 for a single identifier: it joins nothing, so that only when it was first seen
   * matters, and a visitor who never signs in costs one row however often they come.
   */
  readonly day: number;
  /** The least key of the events this row stands for. */
  readonly key: CanonicalKey;
  /** When this was first known: the least `acceptedAt` of those events, ms. */
  readonly knownAt: number;
  /** Those that count, by falling priority; never empty. */
  readonly identifiers: readonly Identifier[];
  /** Those that count not, because they are generic (`generic-value.model.ts`); undefined: there are none. */
  readonly uncounted?: readonly Identifier[];
}

const ALL_COUNT: Pick<IdentityRules, 'generics'> = {};

/** @param rules which generic values count not; default: none */
export function evidenceOf(
  event: Pick<LoggedEvent, 'identifiers' | 'occurredAt' | 'sourceId' | 'messageId' | 'acceptedAt'>,
  rules: Pick<IdentityRules, 'generics'> = ALL_COUNT,
): Evidence {
  const { identifiers, occurredAt, sourceId, messageId } = event;
  const [anchor] = identifiers;
  const { counted, uncounted } = countedOf(identifiers, rules);
  if (anchor === undefined) throw new RangeError('an event without identifiers is no evidence');
  return {
    anchorId: anchor.id,
    setId: setIdOf(identifiers),
    day: identifiers.length === 1 ? 0 : Math.floor(occurredAt / DAY_MS),
    key: { occurredAt, sourceId, messageId },
    knownAt: event.acceptedAt,
    identifiers: counted,
    ...(uncounted === undefined ? undefined : { uncounted }),
  };
}

/**
 * The row as it is once its events hang where they belong.
 * @param released values that were generic and are so no more
 */
export function placedEvidence(evidence: Evidence, rules: IdentityRules, released: ReadonlySet<Uuid>): Evidence {
  const { identifiers, uncounted = [], anchorId, ...row } = evidence;
  const ordered = inAnchorOrder([...identifiers, ...uncounted], rules);
  const place = placeIn(ordered, anchorId, { rules, released });
  if (place === anchorId) return evidence;
  const { counted, uncounted: others } = countedOf(ordered, rules);
  const placed = { ...row, anchorId: place, identifiers: counted };
  return others === undefined ? placed : { ...placed, uncounted: others };
}

/**
 * The anchor on which events that carried these belong, with no value that counts again.
 * @param identifiers the anchor on which they hang first
 * @throws RangeError of no identifiers
 */
export function placeOfEvidence(identifiers: readonly Identifier[], rules: IdentityRules): Uuid {
  const [anchor] = identifiers;
  if (anchor === undefined) throw new RangeError('an event without identifiers is no evidence');
  return placeIn(inAnchorOrder(identifiers, rules), anchor.id, { rules, released: NONE });
}

const NONE: ReadonlySet<Uuid> = new Set();

function placeIn(
  [to]: readonly Identifier[],
  anchorId: Uuid,
  { rules, released }: { readonly rules: IdentityRules; readonly released: ReadonlySet<Uuid> },
): Uuid {
  const isGeneric = (id: Uuid): boolean => rules.generics?.ids.has(id) === true;
  if (to === undefined || to.id === anchorId) return anchorId;
  return (isGeneric(anchorId) ? isGeneric(to.id) : !released.has(to.id)) ? anchorId : to.id;
}

/** Equal for equal sets, whatever their order. */
export function setIdOf(identifiers: readonly Identifier[]): Uuid {
  const [first, second] = identifiers;
  if (first !== undefined && second === undefined) return hashId(first.id);
  return hashId(...identifiers.map(({ id }) => id).sort());
}

/**
 * One row out of two about the same anchor, set and day: the lesser key, the earlier knowledge. Commutative,
 * associative and idempotent; gives back one of the two where that one says it all.
 */
export function leastEvidence(a: Evidence, b: Evidence): Evidence {
  if (a.setId !== b.setId || a.day !== b.day) throw new RangeError('evidence of different sets or days has no least');
  const lesser = compareCanonical(a.key, b.key) <= 0 ? a : b;
  const knownAt = Math.min(a.knownAt, b.knownAt);
  return lesser.knownAt === knownAt ? lesser : { ...lesser, knownAt };
}

/** What is said in evidence: a set of identifiers on a day. */
export function evidenceKey(evidence: Pick<Evidence, 'setId' | 'day'>): string {
  return `${evidence.setId} ${String(evidence.day)}`;
}

/**
 * A row of the evidence table. A set that hangs on another anchor than it did, because other rules order namespaces
 * otherwise, is a row of its own: an anchor's evidence is what its own events say, also once those of the other are gone.
 */
export function writtenKey(evidence: Pick<Evidence, 'anchorId' | 'setId' | 'day'>): string {
  return `${evidence.anchorId} ${evidenceKey(evidence)}`;
}

/** Adds a row to those of some anchors, by {@link writtenKey}. */
export function addEvidence(rows: Map<string, Evidence>, row: Evidence): void {
  const key = writtenKey(row);
  const known = rows.get(key);
  rows.set(key, known === undefined ? row : leastEvidence(known, row));
}

/** The order in which evidence is replayed: canonical, ties by set. Total over rows of different (set, day). */
export function compareEvidence(a: Pick<Evidence, 'key' | 'setId'>, b: Pick<Evidence, 'key' | 'setId'>): number {
  return compareCanonical(a.key, b.key) || (a.setId < b.setId ? -1 : a.setId > b.setId ? 1 : 0);
}
