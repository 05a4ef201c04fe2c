import { EVENT_LIMITS, type EventSource } from '../events/accept.model.js';
import type { AcceptResult, IncomingEvent } from '../events/event.model.js';
import type { Clock } from '../platform/clock.js';
import { WeftError } from '../platform/errors.js';
import { newId, type Uuid } from '../platform/ids.js';
import { nameHint } from '../platform/near-names.js';
import type { Database } from '../platform/postgres.js';
import { EntityRecordStore, type WrittenRecord } from './entity-record.store.js';
import {
  EntityRecordReader,
  type EntityKey,
  type KeysAsk,
  type RecordPlace,
  type StoredRecord,
} from './entity-record.reader.js';
import { ENTITY_LIMITS, isEntityKey } from './entity.model.js';
import { FeatureReader, type StoredEntity } from './feature.reader.js';

/** As of events that a load or a client brings. */
export interface RecordOptions {
  /** Our clock when the records were received, ms; default: now. */
  readonly receivedAtMs?: number | undefined;
  readonly loadId?: Uuid | undefined;
}

type Checked =
  | { readonly ok: true; readonly record: WrittenRecord }
  | { readonly ok: false; readonly refusal: Extract<AcceptResult, { status: 'refused' }> };

/**
 * Takes records of one entity as the log takes events of people: from the same adapters, with the same answers. A record
 * names its key by the one identifier whose namespace is the join key; it has a time, properties, and a message id, by
 * which it is written once however often it comes.
 */
export class EntityRecordAcceptor {
  readonly #store = new EntityRecordStore();

  constructor(
    readonly entity: StoredEntity,
    private readonly parts: { readonly db: Database; readonly clock: Clock },
  ) {}

  /** The outcome of every record, at its index. @throws WeftError CONFLICT where their load is being reverted */
  async accept(
    source: Pick<EventSource, 'id'>,
    records: readonly IncomingEvent[],
    options: RecordOptions,
  ): Promise<AcceptResult[]> {
    const { db } = this.parts;
    const checked = records.map((record) => this.#check(source, record, options));
    const written = checked.flatMap((each) => (each.ok ? [each.record] : []));
    const loadId = options.loadId ?? null;
    const added = await this.#store.append(db, this.entity.name, written, loadId);
    if (loadId !== null && added.size === 0 && (await this.#store.isReverted(db, loadId))) {
      throw new WeftError('CONFLICT', 'the load is being reverted', { where: loadId, hint: 'load the file again' });
    }
    return checked.map((each): AcceptResult => {
      if (!each.ok) return each.refusal;
      // Of two with one id in a batch the first was written.
      return { status: added.delete(each.record.messageId) ? 'accepted' : 'duplicate' };
    });
  }

  /** As {@link accept}, without writing. Duplicates are not looked for. */
  check(source: Pick<EventSource, 'id'>, records: readonly IncomingEvent[], options: RecordOptions): AcceptResult[] {
    return records.map((record) => {
      const checked = this.#check(source, record, options);
      return checked.ok ? { status: 'accepted' } : checked.refusal;
    });
  }

  #check(
    source: Pick<EventSource, 'id'>,
    record: IncomingEvent,
    { receivedAtMs = this.parts.clock.now() }: RecordOptions,
  ): Checked {
    const { joinKey } = this.entity;
    const [identifier] = record.identifiers;
    if (identifier?.ns !== joinKey || record.identifiers.length > 1) {
      const reason = `the record does not name ${joinKey} alone`;
      return refused('NO_IDENTIFIER', reason, `give it its ${joinKey}, and no identifier of people`);
    }
    if (!isEntityKey(identifier.value)) {
      const hint = `give 1 to ${String(ENTITY_LIMITS.maxKeyLength)} characters`;
      return refused('NO_IDENTIFIER', `its ${joinKey} is empty, too long, or no text`, hint);
    }
    const { name = '', messageId = newId(receivedAtMs), timestampMs = receivedAtMs } = record;
    if (name === '' || !isStorable(name, EVENT_LIMITS.maxNameLength)) {
      return refused('NAME_MISSING', 'the record has no name', 'name it as the batch view does, under event');
    }
    if (!isStorable(messageId, EVENT_LIMITS.maxMessageIdLength)) {
      const hint = `use at most ${String(EVENT_LIMITS.maxMessageIdLength)} characters`;
      return refused('MESSAGE_ID_TOO_LONG', 'the message id is too long, or no text', hint);
    }
    if (!Number.isFinite(timestampMs)) {
      return refused('TIME_UNPARSABLE', 'the time is no time', 'use ISO 8601, as 2026-01-31T12:00:00.000Z');
    }
    const occurredAt = Math.min(Math.floor(timestampMs), receivedAtMs);
    if (occurredAt < EVENT_LIMITS.minTimeMs) {
      const hint = 'times as numbers are milliseconds, not seconds';
      return refused('TIME_TOO_OLD', 'the time lies before the year 2000', hint);
    }
    const properties = JSON.stringify(record.properties ?? {});
    if (Buffer.byteLength(properties) > ENTITY_LIMITS.maxRecordBytes) {
      const reason = `the record is larger than ${String(ENTITY_LIMITS.maxRecordBytes)} bytes of JSON`;
      return refused('TOO_LARGE', reason, 'leave out properties that no feature reads');
    }
    const { value: key } = identifier;
    const times = { occurredAt, acceptedAt: this.parts.clock.now() };
    return { ok: true, record: { key, sourceId: source.id, name, messageId, ...times, properties } };
  }
}

/** Records removed by one statement. */
const MAX_ERASED_RECORDS = 5_000;

/** Records of entities: who takes them, who looks at them, and their removal. */
export class EntityRecordService {
  readonly #store = new EntityRecordStore();

  constructor(private readonly parts: { readonly db: Database; readonly clock: Clock }) {}

  /** @throws WeftError NOT_FOUND */
  async acceptorOf(entity: string): Promise<EntityRecordAcceptor> {
    return new EntityRecordAcceptor(await this.#demand(entity), this.parts);
  }

  /** A page of the keys that have records, by code point. @throws WeftError NOT_FOUND */
  async keys(entity: string, ask: KeysAsk): Promise<EntityKey[]> {
    await this.#demand(entity);
    // Nothing begins with what no key can be.
    if (ask.prefix !== '' && !isEntityKey(ask.prefix)) return [];
    return new EntityRecordReader(this.parts.db).keys(entity, ask);
  }

  /** A page of what is kept of a key, the newest first. @throws WeftError NOT_FOUND */
  async history(entity: string, key: string, before: RecordPlace | null, limit: number): Promise<StoredRecord[]> {
    await this.#demand(entity);
    if (!isEntityKey(key)) return [];
    return new EntityRecordReader(this.parts.db).history(entity, key, before, limit);
  }

  /**
   * Removes all that is kept of a key, or the records of a message id, whatever their sources.
   * @returns how many there were
   * @throws WeftError NOT_FOUND
   */
  async erase(entity: string, key: string, messageId: string | null = null): Promise<number> {
    await this.#demand(entity);
    if (!isEntityKey(key) || (messageId !== null && !isStorable(messageId, EVENT_LIMITS.maxMessageIdLength))) return 0;
    let removed = 0;
    for (;;) {
      const some = await this.#store.removeOfKey(this.parts.db, entity, key, messageId, MAX_ERASED_RECORDS);
      removed += some;
      if (some < MAX_ERASED_RECORDS) return removed;
    }
  }

  async #demand(name: string): Promise<StoredEntity> {
    const entities = await new FeatureReader(this.parts.db).entities();
    const found = entities.find((entity) => entity.name === name);
    if (found !== undefined) return found;
    const known = entities.map((entity) => entity.name);
    throw new WeftError('NOT_FOUND', `there is no entity ${name.slice(0, 100)}`, {
      where: 'entity',
      hint: nameHint(name, known, 'define it under entities in a file that weft apply takes'),
    });
  }
}

function isStorable(text: string, maxLength: number): boolean {
  return text.length <= maxLength && !/[\0\p{Surrogate}]/u.test(text);
}

function refused(code: string, reason: string, hint: string): Checked {
  return { ok: false, refusal: { status: 'refused', code, reason, hint } };
}
