import {
  compareCanonical,
  isReservedTrait,
  type CanonicalKey,
  type JsonValue,
  type LoggedEvent,
} from '../events/event.model.js';
import type { Trait, Traits } from './trait.model.js';

/*
 * Groups, as companies and households, and what their members know of them.
 *
 * Invariants
 * G1  The traits of a group are the latest values by canonical key of all `group` events that name it. Each anchor's part
 *     of that, what its own events gave, is kept apart, so that events can be taken back.
 * G2  An anchor holds what it knows of the groups that it is in, one reserved trait for each: what its own events gave at
 *     once, and what others gave since it was told. Being told is a step of the fold, so a profile's segments are a
 *     function of its own events and steps; when others' events were applied does not show in it otherwise.
 * G3  Once all were told, every member knows of its groups what their traits are.
 */

/** The reserved trait that lists the groups somebody belongs to, as `[{ "id": "acme" }]`: those named last at the end. */
export const GROUPS = '$groups';
/** What is known of a group is under this, followed by `["<group id>","<name of the trait>"]`. */
const KNOWN = '$group ';

/** Most traits that a group has: of all names it was ever given, the least by UTF-16 code unit. */
export const MAX_GROUP_TRAITS = 50;
/** Longest value of a trait of a group, as JSON, in UTF-16 units; longer ones are left out. */
export const MAX_GROUP_VALUE_LENGTH = 1_000;

/** What of an event says something of a group. */
export type GroupEvent = Pick<LoggedEvent, 'groupId' | 'properties' | 'occurredAt' | 'sourceId' | 'messageId'>;

/** A group as a profile knows it. */
export interface KnownGroup {
  readonly id: string;
  readonly traits: Readonly<Record<string, JsonValue>>;
}

/** The traits that an event gives its group, and how many values are left out. */
export function givenBy({ properties, ...key }: GroupEvent): { readonly given: Traits; readonly dropped: number } {
  const given: Traits = new Map();
  let dropped = 0;
  for (const name of Object.keys(properties)) {
    const value = properties[name];
    if (value === undefined || isReservedTrait(name)) continue;
    if (isTooLong(value)) dropped++;
    else given.set(name, traitOf(value, key));
  }
  return { given, dropped: dropped + dropSurplus(given) };
}

function isTooLong(value: JsonValue): boolean {
  if (typeof value === 'string' || (typeof value === 'object' && value !== null)) {
    return JSON.stringify(value).length > MAX_GROUP_VALUE_LENGTH;
  }
  return false;
}

function traitOf(value: JsonValue, { occurredAt, sourceId, messageId }: CanonicalKey): Trait {
  return { value, occurredAt, sourceId, messageId, held: null };
}

function dropSurplus(given: Traits): number {
  if (given.size <= MAX_GROUP_TRAITS) return 0;
  const surplus = [...given.keys()].sort().slice(MAX_GROUP_TRAITS);
  for (const name of surplus) given.delete(name);
  return surplus.length;
}

/** Joins what was given to a group into what there is; whether that changed. */
export function joinGiven(into: Traits, given: Traits): boolean {
  let isChanged = false;
  for (const [name, trait] of given) {
    const standing = into.get(name);
    if (standing !== undefined && compareCanonical(trait, standing) <= 0) continue;
    into.set(name, trait);
    isChanged = true;
  }
  dropSurplus(into);
  return isChanged;
}

/** Adds what an event gives its group to what was given by its anchor, by group. */
export function foldGiven(byGroup: Map<string, Traits>, event: GroupEvent & Pick<LoggedEvent, 'type'>): void {
  const { groupId } = event;
  if (event.type !== 'group' || groupId === null) return;
  const { given } = givenBy(event);
  const standing = byGroup.get(groupId);
  if (standing === undefined) byGroup.set(groupId, given);
  else joinGiven(standing, given);
}

/** Whether they say the same, whenever they said so. */
export function areSameValues(a: Traits, b: Traits): boolean {
  if (a.size !== b.size) return false;
  for (const [name, { value }] of a) {
    const other = b.get(name);
    if (other === undefined || JSON.stringify(other.value) !== JSON.stringify(value)) return false;
  }
  return true;
}

/** Whether a trait is what Weft keeps of groups under its own names. */
export function isOfGroups(name: string): boolean {
  return name === GROUPS || isKnownOfGroup(name);
}

/** Whether a trait of an anchor is what it knows of a group. */
export function isKnownOfGroup(name: string): boolean {
  return name.startsWith(KNOWN);
}

function prefixOf(groupId: string): string {
  return `${KNOWN}[${JSON.stringify(groupId)},`;
}

function knownName(groupId: string, name: string): string {
  return `${prefixOf(groupId)}${JSON.stringify(name)}]`;
}

function parseKnown(name: string): [groupId: string, trait: string] {
  return JSON.parse(name.slice(KNOWN.length)) as [string, string];
}

/** What an anchor knows of a group. */
export function knownOf(traits: Traits, groupId: string): Traits {
  const prefix = prefixOf(groupId);
  const known: Traits = new Map();
  for (const [name, trait] of traits) if (name.startsWith(prefix)) known.set(parseKnown(name)[1], trait);
  return known;
}

/** Whether somebody with these traits belongs to a group. */
export function isMember(traits: ReadonlyMap<string, Pick<Trait, 'value'>>, groupId: string): boolean {
  return idsOf(traits).includes(groupId);
}

function idsOf(traits: ReadonlyMap<string, Pick<Trait, 'value'>>): string[] {
  const items = traits.get(GROUPS)?.value;
  return Array.isArray(items) ? (items as { id: string }[]).map(({ id }) => id) : [];
}

/** Adds what an event of an anchor gave a group to what the anchor knows of it; whether that changed. */
export function learn(traits: Traits, groupId: string, given: Traits): boolean {
  if (given.size === 0) return false;
  const known = knownOf(traits, groupId);
  if (!joinGiven(known, given)) return false;
  replaceKnown(traits, groupId, known);
  return true;
}

/** The traits of an anchor that knows this of a group, and nothing else of it; null where it does, or is not in it. */
export function told(traits: Traits, groupId: string, known: Traits): Traits | null {
  if (!isMember(traits, groupId)) return null;
  const before = knownOf(traits, groupId);
  const isSame =
    before.size === known.size && [...known].every(([name, trait]) => isSameTrait(trait, before.get(name)));
  if (isSame) return null;
  const after: Traits = new Map(traits);
  replaceKnown(after, groupId, known);
  return after;
}

function isSameTrait(a: Trait, b: Trait | undefined): boolean {
  return b !== undefined && compareCanonical(a, b) === 0 && JSON.stringify(a.value) === JSON.stringify(b.value);
}

function replaceKnown(traits: Traits, groupId: string, known: Traits): void {
  const prefix = prefixOf(groupId);
  for (const name of traits.keys()) if (name.startsWith(prefix)) traits.delete(name);
  for (const [name, trait] of known) traits.set(knownName(groupId, name), trait);
}

/** Forgets what an anchor knows of groups that it is not in, as where others were named later and there are too many. */
export function forgetOthers(traits: Traits): void {
  const ids = new Set(idsOf(traits));
  for (const name of traits.keys()) if (isKnownOfGroup(name) && !ids.has(parseKnown(name)[0])) traits.delete(name);
}

/** The groups that somebody belongs to, with what is known of them. */
export function groupsOf(traits: ReadonlyMap<string, Pick<Trait, 'value'>>): KnownGroup[] {
  const groups = new Map(idsOf(traits).map((id) => [id, {}]));
  if (groups.size === 0) return [];
  for (const [name, { value }] of traits) {
    if (value === undefined || !isKnownOfGroup(name)) continue;
    const [groupId, trait] = parseKnown(name);
    const known = groups.get(groupId);
    if (known !== undefined) Object.defineProperty(known, trait, { value, enumerable: true, configurable: true });
  }
  return [...groups].map(([id, known]) => ({ id, traits: known }));
}
