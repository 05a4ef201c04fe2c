import type { JsonObject, JsonValue } from '../events/event.model.js';
import { FIELD_NAME } from '../events/seen-names.model.js';
import { FORMATS } from './schema-formats.js';
import { isReservedName, type JsonSchema } from './tracking-plan.model.js';

/** Levels of arrays and objects that are described. */
const MAX_LEVELS = 2;
/** Fields of an object that are described; with more, it is a map of something. */
const MAX_FIELDS = 30;
/** Different texts that are remembered: one more than make a list of values. */
const MAX_VALUES = 9;
/** A text that is listed as a value was sent by as many people at least: what few share may be about them. */
const MIN_PEOPLE = 5;
const MIN_EVENTS_FOR_VALUES = 50;
const MIN_EVENTS_PER_VALUE = 10;
/** In the order in which they are tried: what several accept is the first of them. */
const INFERRED_FORMATS = ['uuid', 'date-time', 'date', 'email', 'uri'] as const;
const TYPES = ['string', 'integer', 'number', 'boolean', 'array', 'object', 'null'] as const;
type TypeName = (typeof TYPES)[number];
/**
 * Schemas that `kind` can answer: any of 5 types with `integer`, `number` or neither, but for none at all; half of these
 * have texts, in one of 5 formats or in none.
 */
export const KINDS = 48 * 6 + 47;

/** Words, as programs send them for one of a few cases. */
const PLAIN_WORD = /^[A-Za-z][A-Za-z0-9 _.-]{0,39}$/;
const MANY_DIGITS = /\d{5}/;
/** Names of what belongs to a person, or may: never a list of values, however few there are. */
const PERSONAL_NAME =
  /name|mail|phone|tel|mobile|address|street|city|town|zip|post|birth|age|gender|sex|ip|lat|lon|lng|geo|user|customer|person|member|login|token|secret|pass|iban|card|account|tax|ssn|health|relig|party|id$/i;

export interface InferredSchema {
  readonly schema: JsonSchema;
  /** Schemas that it holds, itself included, as `checkSchema` counts them. */
  readonly size: number;
  /** False: for want of room, not all of what was seen in the values is described. */
  readonly isWhole: boolean;
}

/** What the values of one property have in common. */
export class ValueShape {
  count = 0;
  readonly #types = new Set<TypeName>();
  readonly #formats = new Set<string>(INFERRED_FORMATS);
  /** By text, the people who sent it; null: too many, or not to be shown. */
  #values: Map<string, Set<string>> | null;
  #items: ValueShape | null = null;
  #fields: Map<string, ValueShape> | null = new Map();
  readonly #levels: number;

  /** @param name of the property; null for what is inside of one, of which no values are listed */
  constructor(name: string | null, levels = MAX_LEVELS) {
    this.#values = name === null || PERSONAL_NAME.test(name) ? null : new Map();
    this.#levels = levels;
  }

  /**
   * @param person who sent it
   * @param identifiers what is known of them, which is never shown
   */
  add(value: JsonValue, person: string, identifiers: ReadonlySet<string>): void {
    this.count++;
    this.#types.add(typeOf(value));
    if (typeof value === 'string') this.#addText(value, person, identifiers);
    else if (Array.isArray(value)) this.#addItems(value, person, identifiers);
    else if (typeof value === 'object' && value !== null) this.#addFields(value, person, identifiers);
  }

  /** A schema that every value fits and that says no more than their kind: one of `KINDS`. */
  kind(): JsonObject {
    const types = TYPES.filter((type) => this.#types.has(type) && !(type === 'integer' && this.#types.has('number')));
    const [only] = types;
    const [format] = this.#types.has('string') ? this.#formats : [];
    return {
      type: types.length === 1 && only !== undefined ? only : types,
      ...(format === undefined ? {} : { format }),
    };
  }

  /**
   * A schema that every value fits.
   * @param maxSchemas how many it may hold, itself included, at least one: of fields, the rarest are left out
   */
  schema(maxSchemas: number): InferredSchema {
    const values = this.#listed();
    if (values !== null) {
      return { schema: { enum: this.#types.has('null') ? [...values, null] : values }, size: 1, isWhole: true };
    }
    const items = maxSchemas > 1 ? this.#items?.schema(maxSchemas - 1) : undefined;
    const { fields, size, isWhole } = this.#describedFields(maxSchemas - 1 - (items?.size ?? 0));
    return {
      schema: {
        ...this.kind(),
        ...(items === undefined ? {} : { items: items.schema }),
        ...(size === 0 ? {} : { properties: fields }),
      },
      size: 1 + (items?.size ?? 0) + size,
      isWhole: isWhole && (items === undefined ? this.#items === null : items.isWhole),
    };
  }

  /** What came most often first, for as long as there is room. */
  #describedFields(maxSchemas: number): {
    readonly fields: Record<string, JsonSchema>;
    readonly size: number;
    readonly isWhole: boolean;
  } {
    const fields: Record<string, JsonSchema> = {};
    let [size, isWhole] = [0, true];
    for (const [name, shape] of [...(this.#fields ?? [])].sort(([, a], [, b]) => b.count - a.count)) {
      if (size >= maxSchemas) return { fields, size, isWhole: false };
      const field = shape.schema(maxSchemas - size);
      fields[name] = field.schema;
      size += field.size;
      isWhole &&= field.isWhole;
    }
    return { fields, size, isWhole };
  }

  #addText(text: string, person: string, identifiers: ReadonlySet<string>): void {
    for (const format of this.#formats) {
      // `key:value` is a URI by the letter of RFC 3986.
      const isMeant = format !== 'uri' || text.includes('://');
      if (!isMeant || FORMATS.get(format)?.(text) !== true) this.#formats.delete(format);
    }
    const values = this.#values;
    if (values === null) return;
    const people = values.get(text) ?? new Set();
    if (people.size < MIN_PEOPLE) people.add(person);
    values.set(text, people);
    const isShown = PLAIN_WORD.test(text) && !MANY_DIGITS.test(text) && !identifiers.has(text.toLowerCase());
    if (!isShown || values.size >= MAX_VALUES) this.#values = null;
  }

  #addItems(items: readonly JsonValue[], person: string, identifiers: ReadonlySet<string>): void {
    if (this.#levels === 0) return;
    for (const item of items) (this.#items ??= new ValueShape(null, this.#levels - 1)).add(item, person, identifiers);
  }

  #addFields(object: JsonObject, person: string, identifiers: ReadonlySet<string>): void {
    if (this.#levels === 0) return;
    for (const name of Object.keys(object)) {
      const value = object[name];
      if (this.#fields === null || value === undefined) continue;
      const known = this.#fields.get(name);
      if (known === undefined && (this.#fields.size >= MAX_FIELDS || !isPlainName(name))) this.#fields = null;
      else {
        const shape = known ?? new ValueShape(null, this.#levels - 1);
        this.#fields.set(name, shape);
        shape.add(value, person, identifiers);
      }
    }
  }

  /** The texts, if they are few over many events, and shared by enough people each. */
  #listed(): string[] | null {
    const isText = [...this.#types].every((type) => type === 'string' || type === 'null');
    if (!isText || this.#values === null || this.#values.size === 0) return null;
    const { size } = this.#values;
    if (this.count < Math.max(MIN_EVENTS_FOR_VALUES, MIN_EVENTS_PER_VALUE * size)) return null;
    if ([...this.#values.values()].some((people) => people.size < MIN_PEOPLE)) return null;
    return [...this.#values.keys()].sort();
  }
}

/** True for a name that a program chose, as far as can be told; others may be data. */
export function isPlainName(name: string): boolean {
  return FIELD_NAME.test(name) && !MANY_DIGITS.test(name) && !isReservedName(name);
}

function typeOf(value: JsonValue): TypeName {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value as 'string' | 'boolean' | 'object';
}
