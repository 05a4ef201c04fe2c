import { LRUCache } from 'lru-cache';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { MAX_SOURCE_NAME_LENGTH } from './source.model.js';
import type { NewSource, Source } from './source.model.js';
import type { SourceStore } from './source.store.js';

const MAX_CACHED = 1_000;

/** Creates and finds sources. They never change once created, so what was found once is never asked for again. */
export class SourceService {
  readonly #byKey = new LRUCache<string, Source>({ max: MAX_CACHED });
  readonly #byId = new LRUCache<number, Source>({ max: MAX_CACHED });

  constructor(
    private readonly store: SourceStore,
    private readonly clock: Clock,
  ) {}

  /** @throws WeftError BAD_REQUEST (key or name), CONFLICT (key is taken) */
  async create(source: NewSource): Promise<Source> {
    const name = source.name ?? source.key;
    check(source.key, name);
    const created = await this.store.insert({
      key: source.key,
      name,
      kind: source.kind,
      config: source.config ?? {},
      createdAt: this.clock.now(),
    });
    if (created === null) {
      throw new WeftError('CONFLICT', `source "${source.key}" exists already`, {
        where: 'key',
        hint: 'choose another key, or use the source that is there',
      });
    }
    return this.#remember(created);
  }

  /** The source with this key, created if it is not there. One of another kind is a CONFLICT. */
  async ensure(source: NewSource): Promise<Source> {
    const found = (await this.findByKey(source.key)) ?? (await this.#createOrFind(source));
    if (found.kind === source.kind) return found;
    throw new WeftError('CONFLICT', `source "${source.key}" is of kind ${found.kind}, not ${source.kind}`, {
      where: 'key',
      hint: 'choose another key',
    });
  }

  async findByKey(key: string): Promise<Source | null> {
    const cached = this.#byKey.get(key);
    if (cached !== undefined) return cached;
    const found = await this.store.findByKey(key);
    return found === null ? null : this.#remember(found);
  }

  async findById(id: number): Promise<Source | null> {
    const cached = this.#byId.get(id);
    if (cached !== undefined) return cached;
    const found = await this.store.findById(id);
    return found === null ? null : this.#remember(found);
  }

  /** All, by id. */
  async list(): Promise<Source[]> {
    return this.store.list();
  }

  async #createOrFind(source: NewSource): Promise<Source> {
    try {
      return await this.create(source);
    } catch (error) {
      const isTaken = error instanceof WeftError && error.code === 'CONFLICT';
      const found = isTaken ? await this.findByKey(source.key) : null;
      if (found === null) throw error;
      return found;
    }
  }

  #remember(source: Source): Source {
    this.#byKey.set(source.key, source);
    this.#byId.set(source.id, source);
    return source;
  }
}

function check(key: string, name: string): void {
  if (!isKey(key)) {
    throw new WeftError('BAD_REQUEST', 'the key of a source has the wrong form', {
      where: 'key',
      hint: KEY_HINT,
    });
  }
  if (name === '' || name.length > MAX_SOURCE_NAME_LENGTH) {
    throw new WeftError('BAD_REQUEST', 'the name of a source is empty or too long', {
      where: 'name',
      hint: `use 1 to ${String(MAX_SOURCE_NAME_LENGTH)} characters`,
    });
  }
}
