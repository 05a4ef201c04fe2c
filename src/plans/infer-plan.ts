import { PRIVATE_PROPERTIES, type EventType, type JsonObject, type LoggedEvent } from '../events/event.model.js';
import { planYaml } from './plan-yaml.js';
import {
  contentOf,
  DEFAULT_POLICY,
  PLAN_LIMITS,
  ruleName,
  type EventRule,
  type TrackingPlan,
} from './tracking-plan.model.js';
import { isPlainName, ValueShape } from './value-shape.js';

/** Events that are described; further ones are left to be added by hand. */
const MAX_EVENTS = 200;
/** Properties of an event that are described. */
const MAX_PROPERTIES = 100;
/** Where a property was in each of as many events, it is taken to be required. */
const MIN_EVENTS_FOR_REQUIRED = 20;
/** Names with an address, a number as ids have, or of a length that names do not have. */
const UNLIKE_A_NAME = /@|\d{5}|[0-9a-f]{8}-[0-9a-f]{4}-/i;
const MAX_NAME_LENGTH = 100;

interface SeenEvent {
  readonly type: EventType;
  readonly name: string | null;
  count: number;
  readonly properties: Map<string, ValueShape>;
  /** Properties were left out: too many, or with names that may be data. */
  hasOthers: boolean;
}

export interface InferredPlan {
  readonly plan: TrackingPlan;
  /** The plan as a file to be edited, with counts as remarks. */
  readonly text: string;
  readonly events: number;
}

/**
 * Makes a draft of a plan of what was seen. Whatever was seen fits it. It shows names and kinds of values, and values
 * only where a few plain words were each sent by several people: never what belongs to one.
 */
export class PlanInference {
  readonly #seen = new Map<string, SeenEvent>();
  #events = 0;
  #leftOut = 0;

  add(event: LoggedEvent): void {
    this.#events++;
    const seen = this.#seenOf(event);
    if (seen === null) {
      this.#leftOut++;
      return;
    }
    seen.count++;
    const person = event.identifiers[0]?.id ?? '';
    const identifiers = new Set(event.identifiers.map(({ value }) => value.toLowerCase()));
    this.#addContent(seen, event[contentOf(event.type)], person, identifiers);
  }

  /** @param source its key */
  result(source: string): InferredPlan {
    const remarks = new Map<string, string>();
    const seen = [...this.#seen.values()].sort((a, b) => b.count - a.count || (ruleName(a) < ruleName(b) ? -1 : 1));
    const events = seen.map((each) => ruleOf(each, remarks));
    const policy = this.#leftOut === 0 ? DEFAULT_POLICY : { ...DEFAULT_POLICY, unplanned_event: 'ignore' as const };
    const plan: TrackingPlan = { description: '', policy, events };
    return { plan, text: planYaml(source, plan, remarks, this.#head()), events: this.#events };
  }

  #head(): string {
    const lines = [
      ` A draft, made of ${String(this.#events)} events. Read it, mend it, then: weft plan apply <this file>`,
      ' Required is what was always there; look whether it has to be.',
    ];
    if (this.#leftOut > 0) {
      lines.push(
        ` ${String(this.#leftOut)} events have names that are too many or look like data. They are not described, and`,
        ' unplanned_event is set to ignore because of them.',
      );
    }
    return lines.join('\n');
  }

  #seenOf({ type, name: given }: LoggedEvent): SeenEvent | null {
    const name = type === 'track' ? given : null;
    const key = ruleName({ type, name });
    const known = this.#seen.get(key);
    if (known !== undefined) return known;
    const isName = name === null || (name.length <= MAX_NAME_LENGTH && !UNLIKE_A_NAME.test(name) && name.trim() !== '');
    if (!isName || this.#seen.size >= MAX_EVENTS) return null;
    const seen = { type, name, count: 0, properties: new Map<string, ValueShape>(), hasOthers: false };
    this.#seen.set(key, seen);
    return seen;
  }

  #addContent(seen: SeenEvent, content: JsonObject, person: string, identifiers: ReadonlySet<string>): void {
    for (const name of Object.keys(content)) {
      const value = content[name];
      if (value === undefined || name === PRIVATE_PROPERTIES) continue;
      let shape = seen.properties.get(name);
      if (shape === undefined) {
        if (seen.properties.size >= MAX_PROPERTIES || !isPlainName(name) || name.length > PLAN_LIMITS.maxNameLength) {
          seen.hasOthers = true;
          continue;
        }
        seen.properties.set(name, (shape = new ValueShape(name)));
      }
      shape.add(value, person, identifiers);
    }
  }
}

function ruleOf({ type, name, count, properties, hasOthers }: SeenEvent, remarks: Map<string, string>): EventRule {
  const rule = ruleName({ type, name });
  remarks.set(rule, `${String(count)} times`);
  const required: string[] = [];
  const schemas: Record<string, EventRule['properties'][string]> = {};
  for (const [property, shape] of [...properties].sort(([, a], [, b]) => b.count - a.count)) {
    if (shape.count === count && count >= MIN_EVENTS_FOR_REQUIRED) required.push(property);
    schemas[property] = shape.schema();
    const percent = (100 * shape.count) / count;
    remarks.set(`${rule}.${property}`, `in ${percent < 1 ? '<1' : String(Math.floor(percent))} % of them`);
  }
  return {
    type,
    name,
    description: '',
    policy: {},
    required,
    properties: schemas,
    additionalProperties: hasOthers,
    allOf: [],
  };
}
