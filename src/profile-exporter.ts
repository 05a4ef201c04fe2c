import type { ChangeFeedReader } from './activation/change-feed.reader.js';
import type { LoadedDefinitions } from './definitions.js';
import type { EventLog } from './events/event-log.model.js';
import type { LoggedEvent } from './events/event.model.js';
import type { FeatureValue } from './features/feature.model.js';
import type { IdentityMove, IdentityMoveReader } from './identity/identity-move.reader.js';
import type { Clock } from './platform/clock.js';
import { hashId, type Uuid } from './platform/ids.js';
import { formatInstant } from './platform/instant.js';
import type { Database } from './platform/postgres.js';
import {
  jsonLines,
  PROFILE_EXPORT_FORMAT,
  type ProfileExport,
  type ProfileExports,
} from './privacy/profile-export.model.js';
import { purposeOf, wordIn } from './profiles/consent.model.js';
import { groupsOf, isOfGroups } from './profiles/groups.model.js';
import type { ProfileReader } from './profiles/profile.reader.js';
import type { TraitSealer } from './profiles/trait-seal.model.js';
import type { ProfileSnapshot } from './segments/profile-snapshot.model.js';
import type { SegmentChange } from './segments/segment.model.js';

export interface ProfileExporterParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly definitions: () => Promise<LoadedDefinitions>;
  readonly snapshots: { byIds(ids: readonly Uuid[]): Promise<(ProfileSnapshot | null)[]> };
  readonly profiles: ProfileReader;
  readonly moves: IdentityMoveReader;
  readonly log: Pick<EventLog, 'readByAnchors'>;
  readonly feed: ChangeFeedReader;
}

const EVENTS_PER_PAGE = 500;
const CHANGES_PER_PAGE = 500;
const MOVES_PER_PAGE = 500;

/** All that is known of one person, for them: read page by page, so that the length of their history does not matter. */
export class ProfileExporter implements ProfileExports {
  constructor(private readonly parts: ProfileExporterParts) {}

  async open(profileId: Uuid): Promise<ProfileExport | null> {
    const { clock, definitions, snapshots, profiles, db } = this.parts;
    const [snapshot] = await snapshots.byIds([profileId]);
    if (snapshot === undefined || snapshot === null) return null;
    const loaded = await definitions();
    const names: Names = {
      sources: loaded.sourceKeys,
      segments: new Map([...loaded.stored.values()].map(({ id, key }) => [id, key])),
    };
    const nowMs = clock.now();
    const allIds = await profiles.allIdsOf(db, snapshot.id);
    const chunks = jsonLines({
      format: { value: PROFILE_EXPORT_FORMAT },
      exportedAt: { value: formatInstant(nowMs) },
      profile: {
        value: {
          id: snapshot.id,
          createdAt: formatInstant(snapshot.createdAt),
          asOf: formatInstant(snapshot.asOf),
          formerIds: allIds.filter((id) => id !== snapshot.id),
        },
      },
      identifiers: { value: snapshot.identifiers.map(([namespace, value]) => ({ namespace, value })) },
      traits: { value: traitsOf(snapshot, names, loaded.traitSealer) },
      groups: { value: groupsOf(snapshot.traits) },
      consents: { value: consentsOf(snapshot, names) },
      features: { value: featuresOf(snapshot, loaded, Math.max(nowMs, snapshot.asOf + 1)) },
      memberships: { value: membershipsOf(snapshot, names) },
      changes: { items: this.#changes(allIds, names) },
      history: { items: this.#moves(allIds) },
      events: { items: this.#events(snapshot, names) },
    });
    return { profileId: snapshot.id, chunks };
  }

  async *#events({ identifiers }: ProfileSnapshot, names: Names): AsyncGenerator {
    const anchorIds = identifiers.map(([ns, value]) => hashId(ns, value));
    let before: { readonly occurredAt: number; readonly pos: number } | undefined;
    for (;;) {
      const page = await this.parts.log.readByAnchors(anchorIds, {
        limit: EVENTS_PER_PAGE,
        ...(before === undefined ? {} : { before }),
      });
      for (const event of page) yield eventOf(event, names);
      before = page.at(-1);
      if (before === undefined || page.length < EVENTS_PER_PAGE) return;
    }
  }

  async *#changes(profileIds: readonly Uuid[], names: Names): AsyncGenerator {
    for (let after = 0; ;) {
      const page = await this.parts.feed.after(after, CHANGES_PER_PAGE, { profileIds });
      for (const change of page) yield changeOf(change, names);
      const last = page.at(-1);
      if (last === undefined || page.length < CHANGES_PER_PAGE) return;
      after = last.seq;
    }
  }

  /** The newest first: how the profile came to be who it is. */
  async *#moves(profileIds: readonly Uuid[]): AsyncGenerator {
    const { db, moves } = this.parts;
    let before: IdentityMove | null = null;
    for (;;) {
      const page: IdentityMove[] = await moves.page(db, profileIds, before, MOVES_PER_PAGE);
      for (const move of page) yield moveOf(move);
      before = page.at(-1) ?? null;
      if (before === null || page.length < MOVES_PER_PAGE) return;
    }
  }
}

/** Of what is stored by number. */
interface Names {
  readonly sources: ReadonlyMap<number, string>;
  readonly segments: ReadonlyMap<number, string>;
}

function traitsOf({ traits }: ProfileSnapshot, { sources }: Names, sealer: TraitSealer): unknown[] {
  const own = [...traits].filter(([name]) => !isOfGroups(name) && purposeOf(name) === null);
  return own.map(([name, { value, sourceId, occurredAt, messageId, provenance, approximate }]) => ({
    name,
    value: sealer.open(name, value),
    source: sources.get(sourceId) ?? null,
    at: formatInstant(occurredAt),
    messageId,
    provenance,
    ...(approximate ? { approximate } : {}),
  }));
}

/** What was said last of each purpose, declared or not. */
function consentsOf({ traits }: ProfileSnapshot, { sources }: Names): unknown[] {
  return [...traits].flatMap(([name, { value, sourceId, occurredAt, messageId }]) => {
    const [purpose, word] = [purposeOf(name), wordIn(value)];
    if (purpose === null || word === null) return [];
    const { status, expiresAt } = word;
    return [
      {
        purpose,
        status,
        expiresAt: expiresAt === null ? null : formatInstant(expiresAt),
        source: sources.get(sourceId) ?? null,
        at: formatInstant(occurredAt),
        messageId,
      },
    ];
  });
}

/** Those that are defined; what segments count by themselves is in their memberships. */
function featuresOf({ state }: ProfileSnapshot, { features, views }: LoadedDefinitions, atMs: number): unknown[] {
  const decoded = features.decode(state);
  const defined = [...views.values()].flatMap((view) => view.features);
  return defined.flatMap(({ name, type }) => {
    const index = features.indexOf(name);
    if (index === undefined) return [];
    const { status, value, eventTs }: FeatureValue = features.value(decoded, index, atMs);
    return [{ name, type, status, value, at: eventTs === null ? null : formatInstant(eventTs) }];
  });
}

function membershipsOf({ memberships }: ProfileSnapshot, { segments }: Names): unknown[] {
  return memberships.map(({ segmentId, since, version, cause }) => ({
    segment: segments.get(segmentId) ?? null,
    since: formatInstant(since),
    version,
    cause: cause.kind,
  }));
}

function changeOf({ seq, segmentId, kind, at, version, cause }: SegmentChange, { segments }: Names): unknown {
  return { seq, kind, segment: segments.get(segmentId) ?? null, at: formatInstant(at), version, cause: cause.kind };
}

function moveOf({ id: _, at, ...move }: IdentityMove): unknown {
  return { ...move, at: formatInstant(at) };
}

function eventOf(event: LoggedEvent, { sources }: Names): unknown {
  const { messageId, type, name, occurredAt, acceptedAt, identifiers, properties, traits, context, groupId } = event;
  return {
    at: formatInstant(occurredAt),
    acceptedAt: formatInstant(acceptedAt),
    source: sources.get(event.sourceId) ?? null,
    messageId,
    type,
    name,
    identifiers: identifiers.map(({ ns, value }) => ({ namespace: ns, value })),
    properties,
    traits,
    context,
    groupId,
  };
}
