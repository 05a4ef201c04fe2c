import { WeftError } from '../platform/errors.js';
import type { Database } from '../platform/postgres.js';
import { MAX_REFERENCES, type FeatureReference, type ManifestStatistics } from './feature-reference.model.js';

/** Rows of `feature_references` and `feature_reference_statistics`. */
export class FeatureReferenceStore {
  constructor(private readonly db: Database) {}

  /**
   * Registers a training set under a name, in place of the one that had it.
   * @throws WeftError CONFLICT where there are as many as may be
   */
  async set(
    { name, setAt, manifestSha256 }: Pick<FeatureReference, 'name' | 'setAt' | 'manifestSha256'>,
    { madeAt, rows, features }: ManifestStatistics,
  ): Promise<void> {
    await this.db.transaction(async (tx) => {
      await tx.execute('LOCK TABLE feature_references IN SHARE ROW EXCLUSIVE MODE');
      const [others] = await tx.query<{ count: number }>(
        'SELECT count(*)::int4 AS count FROM feature_references WHERE name <> $1',
        [name],
      );
      if ((others?.count ?? 0) >= MAX_REFERENCES) {
        throw new WeftError('CONFLICT', `there are ${String(MAX_REFERENCES)} references already`, {
          where: name,
          hint: 'remove one first: weft features reference remove <name>',
        });
      }
      await tx.execute('DELETE FROM feature_references WHERE name = $1', [name]);
      await tx.execute(
        `INSERT INTO feature_references (name, set_at, made_at, manifest_sha256, rows)
         VALUES ($1, $2::int8, $3::int8, $4, $5::int8)`,
        [name, setAt, madeAt, manifestSha256, rows],
      );
      await tx.execute(
        `INSERT INTO feature_reference_statistics (reference, feature, statistics, sample)
         SELECT $1, each -> 'statistics' ->> 'feature', each -> 'statistics',
           CASE jsonb_typeof(each -> 'sample') WHEN 'array'
             THEN ARRAY (SELECT jsonb_array_elements(each -> 'sample')::float8) END
         FROM jsonb_array_elements($2::jsonb) AS each`,
        [name, JSON.stringify(features)],
      );
    });
  }

  /** Whether there was one. */
  async remove(name: string): Promise<boolean> {
    return (await this.db.execute('DELETE FROM feature_references WHERE name = $1', [name])) > 0;
  }
}
