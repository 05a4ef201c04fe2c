import { readAppliedPos } from '../events/applied-log.reader.js';
import { DamagedRows } from '../events/damaged-rows.model.js';
import type { EventScanReader, ScanOptions } from '../events/event-scan.reader.js';
import { isReservedTrait, withoutPrivate, type JsonObject, type LoggedEvent } from '../events/event.model.js';
import type { IdentityHistoryReader, ProfileIdentifiers } from '../identity/identity-history.reader.js';
import type { Uuid } from '../platform/ids.js';
import type { Database } from '../platform/postgres.js';
import { TraitDefinitionReader } from '../profiles/trait-definition.reader.js';
import type { ExportedTable } from './table-file.js';
import type { TrainingCell, TrainingColumn } from './training-set.model.js';

interface TableParts {
  readonly db: Database;
  readonly events: EventScanReader;
  readonly identity: IdentityHistoryReader;
}

export interface TableRequest {
  /** Events that occurred in this time, ms, the last exclusive; default: all. */
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly signal?: AbortSignal;
  /** What is done so far, of `total`. */
  readonly onProgress?: (done: number, total: number) => void;
}

const column = (name: string, type: TrainingColumn['type'] = 'string'): TrainingColumn => ({ name, type });

const EVENT_TABLE = [
  column('position', 'int'),
  ...['message_id', 'source', 'type', 'name'].map((name) => column(name)),
  column('occurred_at', 'timestamp'),
  column('accepted_at', 'timestamp'),
  column('historical', 'bool'),
  ...['profile_id', 'identifiers', 'properties', 'traits', 'context', 'group_id'].map((name) => column(name)),
];
const IDENTITY_TABLE = [...['profile_id', 'namespace', 'value', 'identifier_id'].map((name) => column(name))];
const PAGE_PEOPLE = 1_000;

/** Tables of what Weft holds, for those who work on it elsewhere. Memory holds a page. */
export class TableService {
  readonly #parts: TableParts;

  constructor(parts: TableParts) {
    this.#parts = parts;
  }

  /**
   * The events that count, by position, each with the profile that it is of now. Texts of what is no plain value are JSON.
   * Words of private messages, state of Weft's own and sealed traits are not in it.
   */
  async events({ fromMs = 0, toMs, signal, onProgress }: TableRequest): Promise<ExportedTable> {
    const { db } = this.#parts;
    const toPos = await readAppliedPos(db);
    const rows = await db.query<{ id: number; key: string }>('SELECT id, key FROM sources');
    const sources = new Map(rows.map(({ id, key }) => [id, key]));
    const sealed = await new TraitDefinitionReader(db).sealedNames();
    const damaged = new DamagedRows();
    const options = { toPos, fromMs, untilMs: toMs ?? Number.MAX_SAFE_INTEGER, onDamaged: damaged.note };
    return {
      columns: EVENT_TABLE,
      toPos,
      damagedEvents: () => damaged.count,
      rows: this.#events(options, { sources, sealed }, { signal, onProgress }),
    };
  }

  /** All identifiers by the profile that they stand for now. */
  async identities({ signal, onProgress }: Pick<TableRequest, 'signal' | 'onProgress'>): Promise<ExportedTable> {
    const toPos = await readAppliedPos(this.#parts.db);
    return {
      columns: IDENTITY_TABLE,
      toPos,
      damagedEvents: () => 0,
      rows: this.#identities({ signal, onProgress }),
    };
  }

  async *#events(
    options: ScanOptions,
    names: Names,
    { signal, onProgress }: Told,
  ): AsyncGenerator<TrainingCell[], void, undefined> {
    const { db, events, identity } = this.#parts;
    for await (const page of events.pages(options)) {
      signal?.throwIfAborted();
      const anchors = page.events.flatMap(({ identifiers }) => identifiers[0]?.id ?? []);
      const profiles = await identity.profilesOf(db, anchors);
      for (const event of page.events) yield eventCells(event, names, profiles);
      onProgress?.(page.scannedPos, options.toPos);
    }
  }

  async *#identities({ signal, onProgress }: Told): AsyncGenerator<TrainingCell[], void, undefined> {
    const { db, identity } = this.#parts;
    const [row] = await db.query<{ n: number }>('SELECT count(*)::int8 AS n FROM profiles WHERE merged_into IS NULL');
    let people = 0;
    for (let after: Uuid | null = null; ;) {
      signal?.throwIfAborted();
      const page: readonly ProfileIdentifiers[] = await identity.identifiersAfter(db, after, PAGE_PEOPLE);
      for (const { profileId, identifiers } of page) {
        for (const [id, ns, value] of identifiers) yield [profileId, ns, value, id];
      }
      people += page.length;
      onProgress?.(people, row?.n ?? people);
      after = page.at(-1)?.profileId ?? null;
      if (after === null) return;
    }
  }
}

type Told = { readonly [Name in 'signal' | 'onProgress']: TableRequest[Name] | undefined };

interface Names {
  readonly sources: ReadonlyMap<number, string>;
  /** Names of sealed traits. */
  readonly sealed: ReadonlySet<string>;
}

function eventCells(event: LoggedEvent, { sources, sealed }: Names, profiles: ReadonlyMap<Uuid, Uuid>): TrainingCell[] {
  const { identifiers, traits } = event;
  const shown = Object.entries(traits).filter(([name]) => !isReservedTrait(name) && !sealed.has(name));
  return [
    event.pos,
    event.messageId,
    sources.get(event.sourceId) ?? '',
    event.type,
    event.name,
    event.occurredAt,
    event.acceptedAt,
    event.historical,
    profiles.get(identifiers[0]?.id ?? '') ?? null,
    JSON.stringify(identifiers.map(({ ns, value }) => ({ namespace: ns, value }))),
    jsonCell(withoutPrivate(event.properties)),
    jsonCell(Object.fromEntries(shown)),
    jsonCell(event.context),
    event.groupId,
  ];
}

function jsonCell(value: JsonObject): string | null {
  return Object.keys(value).length === 0 ? null : JSON.stringify(value);
}
