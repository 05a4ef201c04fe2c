import type { DataSource } from 'typeorm';
import type { JsonObject } from '../events/event.model.js';
import { STOP_WORKERS } from '../events/partition-lease.model.js';
import { isUniqueViolation } from '../platform/sql-errors.js';
import { translatedRepository, type TranslatedRepository } from '../platform/translated-repository.js';
import { SourceEntity } from './source.entity.js';
import type { Source, SourceChange } from './source.model.js';

const NEW_VERSION = `
  WITH next AS (
    UPDATE installation SET definitions_version = definitions_version + 1 RETURNING definitions_version AS version
  )
  UPDATE partitions SET swept_version = next.version FROM next WHERE swept_version = next.version - 1`;

/** Rows of `sources`. */
export class SourceStore {
  readonly #sources: TranslatedRepository<SourceEntity>;

  constructor(dataSource: DataSource) {
    this.#sources = translatedRepository(dataSource, SourceEntity);
  }

  /**
   * Features may name a source before it exists, so a new one is a new version of the definitions: nobody folds its
   * events with definitions that do not know its id. It has no events yet, so no profile changes by it: partitions that
   * had been swept for the version before count as swept for this one, too.
   *
   * @returns null when the key is taken.
   */
  async insert(source: Omit<Source, 'id'>): Promise<Source | null> {
    try {
      return await this.#sources.transaction(async (manager) => {
        // Locked as everywhere: partitions first.
        await manager.query(STOP_WORKERS);
        const { identifiers } = await manager.insert(SourceEntity, source);
        await manager.query(NEW_VERSION);
        return { ...source, id: (identifiers[0] as { id: number }).id };
      });
    } catch (error) {
      if (isUniqueViolation(error)) return null;
      throw error;
    }
  }

  /** Nothing of a source that a definition reads can change: they stay as they are. @returns null when there is none. */
  async update(key: string, change: SourceChange): Promise<Source | null> {
    const set = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
    if (Object.keys(set).length > 0) await this.#sources.run((rows) => rows.update({ key }, set));
    return this.findByKey(key);
  }

  async findByKey(key: string): Promise<Source | null> {
    return toSource(await this.#sources.run((rows) => rows.findOneBy({ key })));
  }

  async findById(id: number): Promise<Source | null> {
    return toSource(await this.#sources.run((rows) => rows.findOneBy({ id })));
  }

  /** By key. */
  async page(afterKey: string | null, limit: number): Promise<Source[]> {
    const sources = await this.#sources.run((rows) => {
      const query = rows.createQueryBuilder('s').orderBy('s.key COLLATE "C"').limit(limit);
      return (afterKey === null ? query : query.where('s.key COLLATE "C" > :afterKey', { afterKey })).getMany();
    });
    return sources.map((row) => toSource(row));
  }

  /** All, by id. */
  async list(): Promise<Source[]> {
    const sources = await this.#sources.run((rows) => rows.find({ order: { id: 'ASC' } }));
    return sources.map((row) => toSource(row));
  }
}

function toSource(row: SourceEntity): Source;
function toSource(row: SourceEntity | null): Source | null;
function toSource(row: SourceEntity | null): Source | null {
  if (row === null) return null;
  const { config, ...source } = row;
  return { ...source, config: config as JsonObject };
}
