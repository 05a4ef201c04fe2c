import type { Queryable } from '../platform/postgres.js';
import type { AnomalyKind, SourceAnomaly } from './source-anomaly.model.js';

export interface OpenAnomaly {
  readonly sourceKey: string;
  readonly kind: AnomalyKind;
}

/** Reads when sources sent what is unusual. */
export class SourceAnomalyReader {
  constructor(private readonly db: Queryable) {}

  /** The open ones of all sources, by key of the source. */
  async open(limit: number): Promise<readonly OpenAnomaly[]> {
    return this.db.query<OpenAnomaly>(
      `SELECT s.key AS "sourceKey", a.kind FROM source_anomalies a JOIN sources s ON s.id = a.source_id
       WHERE a.ended_at IS NULL ORDER BY s.key, a.kind LIMIT $1::int4`,
      [limit],
    );
  }

  /** Of these sources, the newest first, at most `limit` of each. */
  async ofSources(sourceIds: readonly number[], limit: number): Promise<readonly SourceAnomaly[]> {
    return this.db.query<SourceAnomaly>(
      `SELECT a.* FROM unnest($1::int4[]) AS source (id) CROSS JOIN LATERAL (
         SELECT source_id AS "sourceId", kind, since, ended_at AS "endedAt", expected, seen FROM source_anomalies
         WHERE source_id = source.id ORDER BY since DESC, id DESC LIMIT $2::int4
       ) a ORDER BY a.since DESC`,
      [sourceIds, limit],
    );
  }
}
