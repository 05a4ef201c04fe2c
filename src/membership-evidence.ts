import type { TableCell, TableColumn } from './activation/people-table.model.js';
import type { LoadedDefinitions } from './definitions.js';
import { CausingEventReader, type CausingEvent } from './events/causing-event.reader.js';
import type { EventSealer } from './events/event-seal.model.js';
import type { Uuid } from './platform/ids.js';
import type { Queryable } from './platform/postgres.js';
import type { ProfileSnapshot } from './segments/profile-snapshot.model.js';
import type { DecidingModel } from './segments/segment.model.js';

/** By what those of a page are in segments, as far as memberships do not say so themselves. */
export interface PageEvidence {
  /** By their places in the log; without those that are there no more. */
  readonly events: ReadonlyMap<number, CausingEvent>;
  /** By {@link membershipKey}. */
  readonly models: ReadonlyMap<string, readonly DecidingModel[]>;
}

export const NO_EVIDENCE: PageEvidence = { events: new Map(), models: new Map() };

type Membership = ProfileSnapshot['memberships'][number];
type CellOf = (membership: Membership, evidence: PageEvidence, profileId: Uuid) => TableCell;

interface EvidenceColumn {
  readonly name: string;
  readonly type: TableColumn['type'];
  readonly cellOf: CellOf;
}

/**
 * Columns that say by what somebody is in a segment, as the feed told of their entering: since when, by what, by which
 * event or which due timer, and what models were asked. Nothing of what an event said is in them.
 * @param prefix before each name
 */
export function evidenceColumns(
  { sourceKeys }: Pick<LoadedDefinitions, 'sourceKeys'>,
  prefix: string,
): readonly EvidenceColumn[] {
  const ofEvent =
    (tell: (event: CausingEvent) => TableCell): CellOf =>
    ({ cause }, { events }) => {
      const event = cause.pos === null ? undefined : events.get(cause.pos);
      return event === undefined ? null : tell(event);
    };
  const column = (name: string, type: TableColumn['type'], cellOf: CellOf): EvidenceColumn => ({
    ...{ name: `${prefix}${name}`, type, cellOf },
  });
  return [
    column('since', 'timestamp', ({ since }) => since),
    column('version', 'int', ({ version }) => version),
    column('cause', 'string', ({ cause }) => cause.kind),
    column(
      'event',
      'string',
      ofEvent(({ name }) => name),
    ),
    column(
      'event_id',
      'string',
      ofEvent(({ messageId }) => messageId),
    ),
    column(
      'event_source',
      'string',
      ofEvent(({ sourceId }) => sourceKeys.get(sourceId) ?? null),
    ),
    column(
      'event_at',
      'timestamp',
      ofEvent(({ occurredAt }) => occurredAt),
    ),
    // Consent that ends by time is no way to enter.
    column('due_at', 'timestamp', ({ cause, since }) => (cause.kind === 'timer' ? since : null)),
    column('models', 'string', ({ segmentId }, { models }, profileId) => {
      const asked = models.get(membershipKey(profileId, segmentId)) ?? [];
      if (asked.length === 0) return null;
      return JSON.stringify(asked.map(({ key, version, digest }) => ({ key, version, digest })));
    }),
  ];
}

function membershipKey(profileId: Uuid, segmentId: number): string {
  return `${profileId} ${String(segmentId)}`;
}

/**
 * What a page needs besides its memberships, in two statements. Who entered in silence, by a load, was told to nobody, so
 * of them no models are known.
 */
export async function readEvidence(
  db: Queryable,
  sealer: EventSealer,
  snapshots: readonly ProfileSnapshot[],
  segmentIds: readonly number[],
): Promise<PageEvidence> {
  const wanted = new Set(segmentIds);
  const memberships = snapshots.flatMap(({ id, memberships: own }) =>
    own.filter(({ segmentId }) => wanted.has(segmentId)).map((membership) => ({ id, ...membership })),
  );
  if (memberships.length === 0) return NO_EVIDENCE;
  const events = await new CausingEventReader(db, sealer).at(
    memberships.flatMap(({ cause: { pos } }) => (pos === null ? [] : [pos])),
  );
  const rows = await db.query<{ profileId: Uuid; segmentId: number; models: readonly DecidingModel[] }>(
    `SELECT m.profile_id AS "profileId", m.segment_id AS "segmentId", c.models
     FROM unnest($1::uuid[], $2::int4[], $3::int8[]) AS m (profile_id, segment_id, since)
     CROSS JOIN LATERAL (
       SELECT models, at FROM changes WHERE profile_id = m.profile_id AND segment_id = m.segment_id AND kind = 'enter'
       ORDER BY seq DESC LIMIT 1) c
     WHERE c.at = m.since AND c.models IS NOT NULL`,
    [
      memberships.map(({ id }) => id),
      memberships.map(({ segmentId }) => segmentId),
      memberships.map(({ since }) => since),
    ],
  );
  const models = new Map(rows.map((row) => [membershipKey(row.profileId, row.segmentId), row.models]));
  return { events, models };
}
