import { isJsonObject } from '../events/consent-context.model.js';
import type { JsonValue, LoggedEvent } from '../events/event.model.js';

/*
 * Lists: people whom somebody named, one by one or in a file, for segments to ask about.
 *
 * What was said of a person and a list is a reserved trait, `$list.<key>`, brought by events that Weft writes. So it hangs
 * on the identifier that was named, and of all words that the identifiers of a profile hold the newest counts: through
 * merges, unmerges, erasures and events that are read again. What a list is otherwise is a row; it has no members of its own.
 *
 * L1  Each change of a list has an instant of its own, and its words are in the order of these instants, by their times and,
 *     where times are equal, by their message ids (`listMessageId`).
 * L2  A replacement says of its rows that they are on the list at its instant, and of all whom nothing newer names that they
 *     are not, one millisecond before: who is named by any of their identifiers is on it.
 */

const PREFIX = '$list.';

export const LIST_LIMITS = {
  maxLists: 200,
  maxNameLength: 200,
  maxDescriptionLength: 4_000,
  /** Of a change that is one request. */
  maxIdentifiersPerChange: 10_000,
} as const;

/** What a list is a copy of. */
export interface ListOrigin {
  /** Key of the segment whose members were taken. */
  readonly segment: string;
  readonly version: number;
  /** As of when, ms. */
  readonly at: number;
}

/** The last change of a list. */
export interface ListChange {
  readonly kind: 'replace' | 'add' | 'remove';
  /** False while it is under way, and after one that was broken off. */
  readonly isDone: boolean;
  /** Rows that were looked at. */
  readonly rows: number;
  /** Identifiers that were taken. */
  readonly taken: number;
  readonly refused: number;
  /** Identifiers that a replacement took off the list. */
  readonly removed: number;
}

export interface StoredList {
  readonly key: string;
  readonly name: string;
  readonly description: string;
  /** Null: it was given by somebody. */
  readonly origin: ListOrigin | null;
  readonly createdAt: number;
  /** The instant of its last change, ms; null: there was none. */
  readonly changedAt: number | null;
  readonly lastChange: ListChange | null;
}

export function listTrait(key: string): string {
  return `${PREFIX}${key}`;
}

export function isListTrait(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** Whether a trait of such a name says that somebody is on the list. */
export function isListed(word: JsonValue | undefined): boolean {
  return isJsonObject(word) && word['listed'] === true;
}

/** The word of a change, as events carry it. */
export function listWord(key: string, listed: boolean): Record<string, { listed: boolean }> {
  return { [listTrait(key)]: { listed } };
}

/** Whether an event was written by a change of a list. */
export function isListEvent({ type, traits }: Pick<LoggedEvent, 'type' | 'traits'>): boolean {
  if (type !== 'identify') return false;
  for (const name in traits) if (isListTrait(name)) return true;
  return false;
}

/** L1. Ids of one change sort behind those of every earlier one. @param at the instant of the change, ms */
export function listMessageId(at: number, id: string): string {
  return `${messageIdsFrom(at)}${id}`;
}

/** The least message id of a change, and greater than those of all earlier ones. */
export function messageIdsFrom(at: number): string {
  return `list:${String(at).padStart(15, '0')}:`;
}
