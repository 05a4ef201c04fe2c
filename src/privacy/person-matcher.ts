import type { IdentifierPolicy, Identifier, JsonObject, JsonValue, LoggedEvent } from '../events/event.model.js';
import { hashId } from '../platform/ids.js';
import { identifiersIn, identifiersOf, type IdentifierForms } from './find-identifiers.js';

/** Shorter values are looked for as a whole only: as a part of a text they would be found in anything. */
const MIN_PART_LENGTH = 6;

/** Finds a person, by their identifiers, in what is not theirs alone. */
export class PersonMatcher {
  readonly #ids: ReadonlySet<string>;
  readonly #forms: IdentifierForms;
  readonly #parts: readonly string[];

  /** @param regions by which their telephone numbers may be written, besides that of the rules */
  constructor(
    private readonly policy: IdentifierPolicy,
    subjects: readonly Identifier[],
    regions: readonly string[],
  ) {
    this.#ids = new Set(subjects.map(({ id }) => id));
    this.#forms = { namespaces: [...new Set(subjects.map(({ ns }) => ns))], regions };
    this.#parts = subjects.flatMap(({ value }) => (value.length < MIN_PART_LENGTH ? [] : [value.toLowerCase()]));
  }

  isOf(identifier: Pick<Identifier, 'id'>): boolean {
    return this.#ids.has(identifier.id);
  }

  /** Whether a text has one of the identifiers in it: as a value of its JSON in any form, or as a part of it. */
  isNamedIn(text: string): boolean {
    const folded = text.toLowerCase();
    if (this.#parts.some((part) => folded.includes(part))) return true;
    return identifiersIn(text, this.policy, this.#forms).some((id) => this.#ids.has(id));
  }

  /** The event without the person; itself where they are not in it. @throws RangeError if it hangs on them */
  without(event: LoggedEvent): LoggedEvent {
    const identifiers = event.identifiers.filter((identifier) => !this.isOf(identifier));
    if (event.identifiers[0] !== undefined && this.isOf(event.identifiers[0])) {
      throw new RangeError('an event that hangs on the person is not to be kept');
    }
    const properties = this.#cleanObject(event.properties);
    const traits = this.#cleanObject(event.traits);
    const context = this.#cleanObject(event.context);
    const groupId = event.groupId !== null && this.#isPerson(event.groupId) ? null : event.groupId;
    const messageId = this.#isPerson(event.messageId) ? hashId('erased', event.messageId) : event.messageId;
    const isSame =
      identifiers.length === event.identifiers.length &&
      properties === event.properties &&
      traits === event.traits &&
      context === event.context &&
      groupId === event.groupId &&
      messageId === event.messageId;
    return isSame ? event : { ...event, identifiers, properties, traits, context, groupId, messageId };
  }

  #cleanObject(object: JsonObject): JsonObject {
    const entries = Object.entries(object);
    const kept = entries.flatMap(([key, value]): [string, JsonValue][] => {
      const clean = this.#isPerson(key) ? undefined : this.#clean(value);
      return clean === undefined ? [] : [[key, clean]];
    });
    const isSame = kept.length === entries.length && kept.every(([, value], i) => value === entries[i]?.[1]);
    return isSame ? object : Object.fromEntries(kept);
  }

  /** Undefined: nothing is left of it. */
  #clean(value: JsonValue): JsonValue | undefined {
    if (typeof value === 'string' || typeof value === 'number')
      return this.#isPerson(String(value)) ? undefined : value;
    if (typeof value !== 'object' || value === null) return value;
    if (!Array.isArray(value)) return this.#cleanObject(value);
    const kept = value.map((item) => this.#clean(item)).filter((item) => item !== undefined);
    const isSame = kept.length === value.length && kept.every((item, i) => item === value[i]);
    return isSame ? value : kept;
  }

  #isPerson(value: string): boolean {
    const folded = value.toLowerCase();
    if (this.#parts.some((part) => folded.includes(part))) return true;
    return identifiersOf(value, this.policy, this.#forms).some((id) => this.#ids.has(id));
  }
}
