import { IsNull } from 'typeorm';
import type { DataSource } from 'typeorm';
import type { Uuid } from '../../platform/ids.js';
import { translatedRepository, type TranslatedRepository } from '../../platform/translated-repository.js';
import { ApiKeyEntity } from './api-key.entity.js';
import type { ApiKey } from './api-key.model.js';

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
    await this.#keys.run((rows) => rows.insert({ ...key, scopes: [...key.scopes], origins: [...key.origins] }));
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

  async setLastUsed(id: Uuid, nowMs: number): Promise<void> {
    await this.#keys.run((rows) => rows.update({ id }, { lastUsedAt: nowMs }));
  }
}
