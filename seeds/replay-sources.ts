import { open } from 'node:fs/promises';
import { join } from 'node:path';

import type { Identifier, JsonObject, JsonValue, LoggedEvent } from '../src/events/event.model.js';
import { compareCanonical } from '../src/events/event.model.js';
import type { AnchorState } from '../src/features/anchor-state.model.js';
import { FeatureSet } from '../src/features/feature-set.model.js';
import type { FeatureDefinition } from '../src/features/feature.model.js';
import { streamsOf } from '../src/features/stream.model.js';
import { type Evidence, evidenceOf, leastEvidence } from '../src/identity/evidence.model.js';
import { CachedIdentifierPolicy } from '../src/identity/identifier-policy.js';
import { DEFAULT_IDENTITY_RULES } from '../src/identity/identity-rules.model.js';
import { resolveComponent } from '../src/identity/resolve-component.js';
import type { EvalContext, ModelOutput } from '../src/segments/eval-context.model.js';
import { LEAST_ID } from '../src/platform/ids.js';
import { RowMapper } from '../src/sources/compile-mapping.js';
import { createUnitMaker, type LoadUnit } from '../src/sources/group-rows.js';
import { parseMapping } from '../src/sources/parse-mapping.js';
import { openRows } from '../src/sources/row-reader.js';
import type { SeedSource } from './seed-definitions.js';

/** The events of one source, and how many units became none, by reason. */
export interface ReplayedSource {
  readonly events: readonly LoggedEvent[];
  readonly refused: ReadonlyMap<string, number>;
}

const policy = new CachedIdentifierPolicy(DEFAULT_IDENTITY_RULES);

/** Reads a source through its mapping, moved so that its last event lies one hour before `nowMs`. No database. */
export async function replaySource(
  folder: string,
  source: SeedSource,
  mappingYaml: string,
  sourceId: number,
  nowMs: number,
): Promise<ReplayedSource> {
  const mapping = parseMapping(mappingYaml, source.mapping);
  const file = await open(join(folder, source.file));
  const events: LoggedEvent[] = [];
  const refused = new Map<string, number>();
  try {
    const { header, chunks } = await openRows(file, mapping);
    const timeShiftMs = nowMs - 3_600_000 - source.lastEventMs;
    const maker = createUnitMaker(mapping, new RowMapper(mapping, header, { fileHash: source.key, timeShiftMs }));
    const units: LoadUnit[] = [];
    const drain = (): void => {
      for (const unit of units.splice(0)) {
        const event = unit.event === null ? null : loggedEvent(unit.event, sourceId, nowMs);
        if (event !== null) events.push(event);
        else {
          const code = unit.refusal?.code ?? 'NO_IDENTIFIER';
          refused.set(code, (refused.get(code) ?? 0) + 1);
        }
      }
    };
    for await (const { rows } of chunks) {
      for (const row of rows) maker.push(row, units);
      drain();
    }
    maker.end(units);
    drain();
  } finally {
    await file.close();
  }
  return { events, refused };
}

function loggedEvent(incoming: NonNullable<LoadUnit['event']>, sourceId: number, nowMs: number): LoggedEvent | null {
  const { identifiers } = policy.resolve(incoming.identifiers);
  if (identifiers.length === 0) return null;
  return {
    pos: 0,
    part: 0,
    sourceId,
    messageId: incoming.messageId ?? '',
    type: incoming.type,
    name: incoming.type === 'track' ? (incoming.name ?? '') : incoming.type,
    occurredAt: incoming.timestampMs ?? nowMs,
    acceptedAt: nowMs,
    historical: true,
    identifiers,
    properties: incoming.properties ?? {},
    traits: incoming.traits ?? {},
    context: incoming.context ?? {},
    groupId: null,
  };
}

/** Everything that is known of one person at the end of the replay. */
export interface ReplayedProfile {
  readonly identifiers: Identifier[];
  readonly traits: JsonObject;
  readonly state: AnchorState;
}

/** Resolves identities over all events at once, folds features, and takes the latest value of each trait. */
export function replayProfiles(
  events: readonly LoggedEvent[],
  definitions: readonly FeatureDefinition[],
  sourceIds: ReadonlyMap<string, number>,
): { readonly features: FeatureSet; readonly profiles: readonly ReplayedProfile[] } {
  const streams = streamsOf(definitions);
  const features = FeatureSet.compile(definitions, new Map(streams.map(({ key }, i) => [key, i + 1])), sourceIds);
  const { identifiers, evidence } = collectEvidence(events);
  const byIdentifier = new Map<string, ReplayedProfile>();
  const profiles = resolveComponent(evidence, DEFAULT_IDENTITY_RULES).groups.map((group) => {
    const profile: ReplayedProfile = { identifiers: [], traits: {}, state: features.empty() };
    for (const id of group) {
      byIdentifier.set(id, profile);
      const identifier = identifiers.get(id);
      if (identifier !== undefined) profile.identifiers.push(identifier);
    }
    return profile;
  });
  for (const event of [...events].sort(compareCanonical)) {
    const profile = byIdentifier.get(event.identifiers[0]?.id ?? '');
    if (profile === undefined) throw new Error('an event without a profile');
    Object.assign(profile.traits, event.traits);
    features.apply(profile.state, event);
  }
  return { features, profiles };
}

function collectEvidence(events: readonly LoggedEvent[]): {
  identifiers: ReadonlyMap<string, Identifier>;
  evidence: Evidence[];
} {
  const identifiers = new Map<string, Identifier>();
  const evidence = new Map<string, Evidence>();
  for (const event of events) {
    for (const identifier of event.identifiers) identifiers.set(identifier.id, identifier);
    const row = evidenceOf(event);
    const key = `${row.setId} ${String(row.day)}`;
    const known = evidence.get(key);
    evidence.set(key, known === undefined ? row : leastEvidence(known, row));
  }
  return { identifiers, evidence: [...evidence.values()] };
}

/** A profile as segments see it. */
export function contextOf(
  features: FeatureSet,
  profile: ReplayedProfile,
  modelOf: (key: string) => ModelOutput | undefined,
  isMember: (segmentKey: string) => boolean,
): EvalContext {
  const { state, traits } = profile;
  return {
    profileId: () => LEAST_ID,
    feature: (index, t) => features.value(state, index, t),
    flipAt: (index, t, op, constant) => features.flipAt(state, index, t, op, constant),
    lastTimes: (index) => features.lastTimes(state, index),
    trait: (name): JsonValue | undefined => traits[name],
    groups: () => [],
    consent: () => undefined,
    model: modelOf,
    membership: isMember,
  };
}
