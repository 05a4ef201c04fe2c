import { IsNull, MoreThan } from 'typeorm';
import type { DataSource } from 'typeorm';
import type { Uuid } from '../../platform/ids.js';
import { translatedRepository, type TranslatedRepository } from '../../platform/translated-repository.js';
import { ApiKeyEntity } from './api-key.entity.js';
import { isUsable, type ApiKey } from './api-key.model.js';

export interface StoredApiKey extends ApiKey {
  readonly keyHash: Buffer;
}

/** Rows of `api_keys`. */
export class ApiKeyStore {
  readonly #keys: TranslatedRepository<ApiKeyEntity>;

  constructor(dataSource: DataSource) {
    this.#keys = translatedRepository(dataSource, ApiKeyEntity);
  }

  async insert(key: StoredApiKey): Promise<void> {
    await this.#keys.run((rows) => rows.insert(rowOf(key)));
  }

  async findByHash(keyHash: Buffer): Promise<StoredApiKey | null> {
    return this.#keys.run((rows) => rows.findOneBy({ keyHash }));
  }

  async findById(id: Uuid): Promise<StoredApiKey | null> {
    return this.#keys.run((rows) => rows.findOneBy({ id }));
  }

  /** All, oldest first. */
  async list(): Promise<StoredApiKey[]> {
    return this.#keys.run((rows) => rows.find({ order: { createdAt: 'ASC', id: 'ASC' } }));
  }

  /** The origins of all keys that may be used now. */
  async originsInUse(nowMs: number, limit: number): Promise<string[]> {
    const found = await this.#keys.run((rows): Promise<{ origin: string }[]> =>
      rows.query(
        `SELECT DISTINCT unnest(origins) AS origin FROM api_keys
           WHERE 'edge' = ANY (scopes) AND (revoked_at IS NULL OR revoked_at > $1) AND (expires_at IS NULL OR expires_at > $1)
           LIMIT $2`,
        [nowMs, limit],
      ),
    );
    return found.map(({ origin }) => origin);
  }

  /**
   * Changes the origins of a key that may be used now; changes of one key take turns.
   * @param change throws to leave them as they are
   * @returns null when there is no such key
   */
  async changeOrigins(
    id: Uuid,
    change: (key: ApiKey) => readonly string[],
    nowMs: number,
  ): Promise<StoredApiKey | null> {
    return this.#keys.transaction(async (manager) => {
      const rows = manager.getRepository(ApiKeyEntity);
      const key = await rows.findOne({ where: { id }, lock: { mode: 'pessimistic_write' } });
      if (key === null || !isUsable(key, nowMs)) return null;
      key.origins = [...change(key)];
      await rows.update({ id }, { origins: key.origins });
      return key;
    });
  }

  /** Oldest first: ids grow with time. */
  async page(afterId: Uuid | null, limit: number): Promise<StoredApiKey[]> {
    return this.#keys.run((rows) =>
      rows.find({ where: afterId === null ? {} : { id: MoreThan(afterId) }, order: { id: 'ASC' }, take: limit }),
    );
  }

  /** Newest first. */
  async ofSource(sourceId: number, limit: number): Promise<StoredApiKey[]> {
    return this.#keys.run((rows) =>
      rows.find({ where: { sourceId }, order: { createdAt: 'DESC', id: 'DESC' }, take: limit }),
    );
  }

  /** @returns false when there is no such key, or it was revoked before. */
  async revoke(id: Uuid, nowMs: number): Promise<boolean> {
    const { affected } = await this.#keys.run((rows) => rows.update({ id, revokedAt: IsNull() }, { revokedAt: nowMs }));
    return affected === 1;
  }

  /**
   * Puts a key beside the one that it takes the place of, which then ends at `endsAtMs` or before. Rotations of one key
   * take turns.
   * @returns what of it was there: nothing that is in use, or another key in its place already
   */
  async rotate(key: StoredApiKey, endsAtMs: number): Promise<'rotated' | 'not_in_use' | 'rotated_before'> {
    return this.#keys.transaction(async (manager) => {
      const rows = manager.getRepository(ApiKeyEntity);
      const id = key.rotatedFrom ?? '';
      const old = await rows.findOne({ where: { id }, lock: { mode: 'pessimistic_write' } });
      if (old === null || !isUsable(old, key.createdAt)) return 'not_in_use';
      if (await rows.existsBy({ rotatedFrom: id })) return 'rotated_before';
      await rows.update({ id }, { expiresAt: Math.min(old.expiresAt ?? endsAtMs, endsAtMs) });
      await rows.insert(rowOf(key));
      return 'rotated';
    });
  }

  async setLastUsed(id: Uuid, nowMs: number): Promise<void> {
    await this.#keys.run((rows) => rows.update({ id }, { lastUsedAt: nowMs }));
  }
}

function rowOf(key: StoredApiKey): ApiKeyEntity {
  return { ...key, scopes: [...key.scopes], origins: [...key.origins] };
}
