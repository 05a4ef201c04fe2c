import type { Queryable } from '../platform/postgres.js';
import type { IncomingEvent, JsonObject } from './event.model.js';
import { cleanText } from './inspect-json.js';
import { FIELD_NAME, MAX_SEEN_NAMES, type FieldObject } from './seen-names.model.js';

/** Fields of one event that are written, or about to be. */
type Fields = Readonly<Record<FieldObject, Set<string>>>;

interface SeenName {
  readonly event: string;
  /** Empty: the event itself. */
  readonly field: string;
}

/**
 * Writes down the names that accepted events carry, each once. What this process wrote before it knows, so that an
 * event of known names costs a look-up for each of them and no statement.
 */
export class SeenNameStore {
  readonly #db: Queryable;
  readonly #known = new Map<string, Fields>();
  #size = 0;
  #unsaved: SeenName[] = [];

  constructor(db: Queryable) {
    this.#db = db;
  }

  /** True if `save` has something to write. */
  get hasUnsaved(): boolean {
    return this.#unsaved.length > 0;
  }

  /** Notes the names of an event that passed validation. */
  note(event: IncomingEvent): void {
    const name = event.type === 'track' ? (event.name ?? '') : event.type;
    const fields = this.#known.get(name) ?? this.#meet(name);
    if (fields === null) return;
    if (event.properties !== undefined) this.#noteFields(name, fields, 'properties', event.properties);
    if (event.traits !== undefined) this.#noteFields(name, fields, 'traits', event.traits);
    // The name of a page or screen becomes a property; see `validate-event.ts`.
    if (event.type !== 'track' && event.name !== undefined) this.#noteField(name, fields, 'properties', 'name');
  }

  /** Writes what was noted; if that fails, it is noted again when it is met again. */
  async save(): Promise<void> {
    const names = this.#unsaved;
    this.#unsaved = [];
    try {
      await this.#db.run({
        name: 'seen-names-insert',
        // Sorted, so that two processes that meet the same names wait for each other and do not lock each other out.
        text: `INSERT INTO seen_names (event, field)
               SELECT event, field FROM unnest($1::text[], $2::text[]) AS t (event, field)
               WHERE NOT EXISTS (SELECT FROM seen_names s WHERE s.event = t.event AND s.field = t.field)
               ORDER BY event, field
               LIMIT greatest(0, $3::int4 - (SELECT count(*) FROM seen_names)::int4)
               ON CONFLICT DO NOTHING`,
        values: [
          names.map(({ event }) => event),
          names.map(({ field }) => field),
          // One more than are kept says that there were more.
          MAX_SEEN_NAMES + 1,
        ],
      });
    } catch (error) {
      this.#known.clear();
      this.#size = 0;
      throw error;
    }
  }

  #meet(name: string): Fields | null {
    if (!this.#hasRoom()) return null;
    const fields: Fields = { properties: new Set(), traits: new Set() };
    this.#known.set(name, fields);
    this.#unsaved.push({ event: cleanText(name), field: '' });
    return fields;
  }

  #noteFields(event: string, fields: Fields, object: FieldObject, values: JsonObject): void {
    const known = fields[object];
    for (const name in values) if (!known.has(name)) this.#noteField(event, fields, object, name);
  }

  #noteField(event: string, fields: Fields, object: FieldObject, name: string): void {
    if (fields[object].has(name) || !FIELD_NAME.test(name) || !this.#hasRoom()) return;
    fields[object].add(name);
    this.#unsaved.push({ event: cleanText(event), field: `${object}.${name}` });
  }

  #hasRoom(): boolean {
    if (this.#size > MAX_SEEN_NAMES) return false;
    this.#size++;
    return true;
  }
}
