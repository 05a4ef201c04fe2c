import type { PersonPayload, PersonReader } from './activation/endpoints/endpoint.model.js';
import { maskFeatureValue, maskTrait } from './api/graphql/personal.js';
import { snapshotsIn } from './create-profile-exports.js';
import type { DefinitionsLoader, LoadedDefinitions } from './definitions.js';
import { isReservedTrait, type JsonObject, type JsonValue } from './events/event.model.js';
import type { FeatureType } from './features/feature.model.js';
import type { Clock } from './platform/clock.js';
import { formatInstant } from './platform/instant.js';
import type { Database } from './platform/postgres.js';
import { maskText } from './privacy/mask.model.js';
import { consentTrait, isAllowed, UNDECLARED } from './profiles/consent.model.js';
import { MemoryOnlineStore } from './profiles/online-store.memory.js';
import { ProfileReader } from './profiles/profile.reader.js';
import type { ProfileSnapshot } from './segments/profile-snapshot.model.js';

export interface EndpointPersonParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly definitions: Pick<DefinitionsLoader, 'current' | 'isCurrent' | 'invalidate'>;
}

const MAX_STORE_BYTES = 64 * 1024 * 1024;

/**
 * What endpoints are told of people: as the database has them now, by the same masks as the API where an endpoint lacks
 * `pii`. Who does not allow what the endpoint is for is told of by identifiers alone, so that a receiver can take out
 * whoever withdrew; a feature is left out where its own purposes are not allowed.
 */
export function createEndpointPersons({ db, clock, definitions }: EndpointPersonParts): PersonReader {
  return async (profileIds, { content, filter }) => {
    if (!(await definitions.isCurrent())) definitions.invalidate();
    const loaded = await definitions.current();
    // What is in a store that is new is of now.
    const store = new MemoryOnlineStore({ maxBytes: MAX_STORE_BYTES, clock });
    const snapshots = await snapshotsIn(store, { db, profiles: new ProfileReader(), definitions }).byIds(profileIds);
    const found = new Map<string, PersonPayload>();
    for (const [i, snapshot] of snapshots.entries()) {
      const id = profileIds[i];
      if (snapshot === null || id === undefined) continue;
      const t = Math.max(clock.now(), snapshot.asOf + 1);
      const isWithheld = !allows(loaded, snapshot, filter.purposes, t);
      found.set(id, {
        identifiers: identifiersOf(snapshot, content),
        traits: isWithheld ? {} : traitsOf(loaded, snapshot, content),
        features: isWithheld ? {} : featuresOf(loaded, snapshot, content, t),
        isWithheld,
      });
    }
    return found;
  };
}

type Content = Parameters<PersonReader>[1]['content'];

function allows(
  { purposes }: LoadedDefinitions,
  { traits }: ProfileSnapshot,
  needed: readonly string[],
  t: number,
): boolean {
  return needed.every((key) => isAllowed(purposes.get(key) ?? UNDECLARED, traits.get(consentTrait(key)), t));
}

function identifiersOf(
  { identifiers }: ProfileSnapshot,
  { identifiers: namespaces, pii }: Content,
): PersonPayload['identifiers'] {
  const found: Record<string, string[]> = {};
  for (const [ns, value] of identifiers) {
    if (namespaces.includes(ns)) (found[ns] ??= []).push(value);
  }
  return Object.fromEntries(
    Object.entries(found).map(([ns, values]) => [ns, values.sort().map((value) => (pii ? value : maskText(value)))]),
  );
}

function traitsOf(loaded: LoadedDefinitions, { traits, identifiers }: ProfileSnapshot, content: Content): JsonObject {
  const own = new Set([...identifiers].map(([, value]) => value));
  const told: Record<string, JsonValue> = {};
  for (const name of content.traits) {
    const value = isReservedTrait(name) ? undefined : traits.get(name)?.value;
    if (value === undefined) continue;
    told[name] = content.pii ? loaded.traitSealer.open(name, value) : maskTrait(name, value, own, loaded);
  }
  return told;
}

function featuresOf(
  loaded: LoadedDefinitions,
  snapshot: ProfileSnapshot,
  content: Content,
  t: number,
): Record<string, JsonValue> {
  if (content.features.length === 0) return {};
  const { features, featurePurposes } = loaded;
  const state = features.decode(snapshot.state);
  const told: Record<string, JsonValue> = {};
  for (const name of content.features) {
    const index = features.indexOf(name);
    if (index === undefined || !loaded.isReady(index)) continue;
    if (!allows(loaded, snapshot, featurePurposes.get(name) ?? [], t)) continue;
    const value = inJson(features.value(state, index, t).value, features.definitions[index]?.type);
    told[name] = content.pii ? value : maskFeatureValue(name, value, loaded);
  }
  return told;
}

/** Times in ISO 8601. */
function inJson(value: unknown, type: FeatureType | undefined): JsonValue {
  if (Array.isArray(value)) return value.map((item) => inJson(item, type));
  const isTime = type === 'timestamp' || type === 'times' || type === 'timestamp_list';
  return typeof value === 'number' && isTime ? formatInstant(value) : ((value ?? null) as JsonValue);
}
