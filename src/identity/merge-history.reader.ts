import type { EventSealer } from '../events/event-seal.model.js';
import type { Identifier } from '../events/event.model.js';
import { eventOfRow, EVENT_COLUMNS, type EventRow } from '../events/event-row.model.js';
import { GREATEST_ID, LEAST_ID, type Uuid } from '../platform/ids.js';
import type { Queryable } from '../platform/postgres.js';
import type { StoredMove } from './identity-decision.reader.js';
import type { ExplainedEvidence } from './identity-explanation.reader.js';

/** Identifiers that went over from one profile to another: when, and because of what. */
export interface MergeHistoryEntry extends Omit<StoredMove, 'identifierIds' | 'seq'> {
  /** Those that are still known, at most 500. */
  readonly identifiers: readonly Identifier[];
  /** Who decided it, and why; null where nobody did. */
  readonly actor: string | null;
  readonly reason: string | null;
  /** The event that brought it; null where none did, or where it is not in the log any more. */
  readonly event: ExplainedEvidence | null;
}

/** Of one entry that are told. */
const MAX_IDENTIFIERS = 500;

const SELECTED = `
  SELECT m.id, m.kind, m.from_profile AS "from", m.to_profile AS "to", m.at, m.pos, m.cause,
         m.revision_id AS "revisionId", r.actor, r.reason,
         (SELECT json_agg(json_build_object('id', i.id, 'ns', i.ns, 'value', i.value) ORDER BY i.ns, i.value)
          FROM identifiers i WHERE i.id = ANY (m.identifier_ids[1:${String(MAX_IDENTIFIERS)}])) AS identifiers`;

export interface MovesAround {
  /** Null: before those of this instant and position. */
  readonly from: { readonly at: number; readonly pos: number; readonly id: Uuid | null };
  readonly isNewer: boolean;
  readonly kinds: readonly StoredMove['kind'][];
  /** Inclusive, ms. */
  readonly fromMs: number;
  /** Exclusive, ms. */
  readonly toMs: number;
  readonly limit: number;
}

type Row = Omit<StoredMove, 'identifierIds' | 'seq'> & {
  readonly identifiers: readonly Identifier[] | null;
  readonly actor: string | null;
  readonly reason: string | null;
};

/** Reads what a profile took in and gave away. */
export class MergeHistoryReader {
  constructor(private readonly sealer: EventSealer) {}

  /**
   * Of a person, under every id that they have had; the newest first, those before a place.
   * @param profileIds all of these ids
   */
  async page(
    db: Queryable,
    profileIds: readonly Uuid[],
    before: { readonly at: number; readonly id: Uuid } | null,
    limit: number,
  ): Promise<MergeHistoryEntry[]> {
    const rows = await db.query<Row>(
      `${SELECTED} FROM (
         (SELECT * FROM identity_moves WHERE from_profile = ANY ($1::uuid[]) AND (at, id) < ($2::int8, $3::uuid)
          ORDER BY at DESC, id DESC LIMIT $4)
         UNION
         (SELECT * FROM identity_moves WHERE to_profile = ANY ($1::uuid[]) AND (at, id) < ($2::int8, $3::uuid)
          ORDER BY at DESC, id DESC LIMIT $4)
       ) m LEFT JOIN identity_revisions r ON r.id = m.revision_id
       ORDER BY m.at DESC, m.id DESC LIMIT $4`,
      [profileIds, before?.at ?? Number.MAX_SAFE_INTEGER, before?.id ?? GREATEST_ID, limit],
    );
    return this.#entries(db, rows);
  }

  /**
   * The same in the order of a timeline: by instant and by position in the log, the nearest to a place first.
   * @param isNewer towards those that came later
   */
  async around(
    db: Queryable,
    profileIds: readonly Uuid[],
    { from, isNewer, ...asked }: MovesAround,
  ): Promise<MergeHistoryEntry[]> {
    const [than, way] = isNewer ? ['>', ''] : ['<', 'DESC'];
    const side = `(at, pos, id) ${than} ($2::int8, $3::int8, $4::uuid) AND at >= $5 AND at < $6 AND kind = ANY ($8)
                  ORDER BY at ${way}, pos ${way}, id ${way} LIMIT $7`;
    const rows = await db.query<Row>(
      `${SELECTED} FROM (
         (SELECT * FROM identity_moves WHERE from_profile = ANY ($1::uuid[]) AND ${side})
         UNION
         (SELECT * FROM identity_moves WHERE to_profile = ANY ($1::uuid[]) AND ${side})
       ) m LEFT JOIN identity_revisions r ON r.id = m.revision_id
       ORDER BY m.at ${way}, m.pos ${way}, m.id ${way} LIMIT $7`,
      [profileIds, from.at, from.pos, from.id ?? LEAST_ID, asked.fromMs, asked.toMs, asked.limit, asked.kinds],
    );
    return this.#entries(db, rows);
  }

  async #entries(db: Queryable, rows: readonly Row[]): Promise<MergeHistoryEntry[]> {
    const positions = rows.filter(({ cause }) => cause === 'event').map(({ pos }) => pos);
    const events = new Map<number, MergeHistoryEntry['event']>();
    if (positions.length > 0) {
      const logged = await db.query<EventRow>(`SELECT ${EVENT_COLUMNS} FROM event_log WHERE pos = ANY ($1::int8[])`, [
        positions,
      ]);
      for (const row of await this.sealer.open(logged)) {
        const { pos, sourceId, messageId, occurredAt, identifiers } = eventOfRow(row);
        events.set(pos, { sourceId, messageId, occurredAt, identifiers });
      }
    }
    return rows.map(({ identifiers, ...row }) => ({
      ...row,
      identifiers: identifiers ?? [],
      event: row.cause === 'event' ? (events.get(row.pos) ?? null) : null,
    }));
  }
}
