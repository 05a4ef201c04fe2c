import type { EventType } from '../events/event.model.js';
import { SCHEMA_LIMITS } from './check-schema.js';
import { PLAN_LIMITS, ruleName, type EventRule, type JsonSchema } from './tracking-plan.model.js';
import { KINDS, type ValueShape } from './value-shape.js';

/** Properties of an event that are described. */
export const MAX_PROPERTIES = 100;
/** Where a property was in each of as many events, it is taken to be required. */
const MIN_EVENTS_FOR_REQUIRED = 20;
/** Of what is left out, named in a remark. */
const MAX_NAMED = 5;
/** Of the file, for what goes along with an event, or with a property, beside names and schemas. */
const EVENT_BYTES = 400;
const PROPERTY_BYTES = 120;
/** Of a character at worst, where YAML writes it as `\u2028`. */
const MAX_CHARACTER_BYTES = 6;

export interface SeenEvent {
  readonly type: EventType;
  readonly name: string | null;
  count: number;
  readonly properties: Map<string, ValueShape>;
  /** Properties were not remembered: too many, or with names that may be data. */
  hasOthers: boolean;
}

export interface DraftedRules {
  readonly rules: readonly EventRule[];
  /** By what `ruleName` says, and for properties `<rule name>.<property>`. */
  readonly remarks: ReadonlyMap<string, string>;
}

interface DraftedProperty {
  readonly schema: JsonSchema;
  /** What could not be said for want of room; '' for nothing. */
  readonly lack: string;
}

/**
 * Rules that everything seen fits and that a plan may hold (`PLAN_LIMITS`, `SCHEMA_LIMITS`). What came most often is
 * described first; when there is no more room for details, the kinds of values are, and in the end nothing of a property.
 * @param maxBytes of the file, about
 */
export function draftRules(seen: readonly SeenEvent[], maxBytes: number): DraftedRules {
  const room = new Room(maxBytes);
  for (const event of seen) room.takeEvent(event);
  const drafts = new Map(seen.map((event) => [event, new Map<string, DraftedProperty>()]));
  const properties = seen.flatMap((event) => [...event.properties].map(([name, shape]) => ({ event, name, shape })));
  // Ties stay in the order in which they were seen.
  for (const { event, name, shape } of properties.sort((a, b) => b.shape.count - a.shape.count)) {
    const draft = room.describe(event, name, shape);
    if (draft !== null) drafts.get(event)?.set(name, draft);
  }
  const remarks = new Map<string, string>();
  const rules = seen.map((event) => ruleOf(event, drafts.get(event) ?? new Map<string, DraftedProperty>(), remarks));
  return { rules, remarks };
}

/** What of a plan's bounds is left, with enough set aside for the kind of each property. */
class Room {
  readonly #sizes = new Map<SeenEvent, number>();
  readonly #texts = new Set<string>();
  #size = 0;
  #bytes: number;

  constructor(maxBytes: number) {
    this.#bytes = maxBytes;
  }

  takeEvent({ name }: SeenEvent): void {
    this.#bytes -= EVENT_BYTES + MAX_CHARACTER_BYTES * (name?.length ?? 0);
  }

  describe(event: SeenEvent, name: string, shape: ValueShape): DraftedProperty | null {
    const ofEvent = this.#sizes.get(event) ?? 0;
    const maxSize = Math.min(
      SCHEMA_LIMITS.maxSchemas,
      PLAN_LIMITS.maxSchemasOfEvent - MAX_PROPERTIES - ofEvent,
      PLAN_LIMITS.maxSchemas - KINDS - this.#size,
    );
    const whole = shape.schema(Math.max(1, maxSize));
    const text = JSON.stringify(whole.schema);
    const isNew = !this.#texts.has(text);
    const isAnotherTooMany = isNew && this.#texts.size >= PLAN_LIMITS.maxDifferentSchemas - KINDS;
    if (whole.size <= maxSize && !isAnotherTooMany && this.#takeBytes(name, text)) {
      this.#sizes.set(event, ofEvent + whole.size);
      if (isNew) this.#size += whole.size;
      this.#texts.add(text);
      return { schema: whole.schema, lack: whole.isWhole ? '' : 'not all of its fields are described' };
    }
    const kind = shape.kind();
    const kindText = JSON.stringify(kind);
    if (!this.#takeBytes(name, kindText)) return null;
    return { schema: kind, lack: kindText === text && whole.isWhole ? '' : 'its kind alone is described' };
  }

  #takeBytes(name: string, schema: string): boolean {
    // A required property is named twice.
    const bytes = PROPERTY_BYTES + 2 * name.length + schema.length;
    if (bytes > this.#bytes) return false;
    this.#bytes -= bytes;
    return true;
  }
}

const WANT_OF_ROOM = 'since a plan has no room for more';

function ruleOf(
  event: SeenEvent,
  drafts: ReadonlyMap<string, DraftedProperty>,
  remarks: Map<string, string>,
): EventRule {
  const { type, name, count, properties, hasOthers } = event;
  const rule = ruleName(event);
  const required: string[] = [];
  const leftOut: string[] = [];
  const schemas: Record<string, JsonSchema> = {};
  for (const [property, shape] of [...properties].sort(([, a], [, b]) => b.count - a.count)) {
    const draft = drafts.get(property);
    if (draft === undefined) {
      leftOut.push(property);
      continue;
    }
    if (shape.count === count && count >= MIN_EVENTS_FOR_REQUIRED) required.push(property);
    schemas[property] = draft.schema;
    const percent = (100 * shape.count) / count;
    const share = `in ${percent < 1 ? '<1' : String(Math.floor(percent))} % of them`;
    remarks.set(`${rule}.${property}`, draft.lack === '' ? share : `${share}; ${draft.lack}, ${WANT_OF_ROOM}`);
  }
  const told = [`${String(count)} times`];
  if (leftOut.length > 0) told.push(`${namesOf(leftOut)} left out, ${WANT_OF_ROOM}`);
  if (hasOthers) told.push(`others left out, of more than ${String(MAX_PROPERTIES)} or with names that look like data`);
  remarks.set(rule, told.join('; '));
  return {
    type,
    name,
    description: '',
    policy: {},
    required,
    properties: schemas,
    additionalProperties: hasOthers || leftOut.length > 0,
    allOf: [],
  };
}

function namesOf(names: readonly string[]): string {
  const named = names.slice(0, MAX_NAMED).join(', ');
  return names.length > MAX_NAMED ? `${named} and ${String(names.length - MAX_NAMED)} more` : named;
}
