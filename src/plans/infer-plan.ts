import { PRIVATE_PROPERTIES, type JsonObject, type LoggedEvent } from '../events/event.model.js';
import { draftRules, MAX_PROPERTIES, type SeenEvent } from './draft-rules.js';
import { planYaml } from './plan-yaml.js';
import { contentOf, DEFAULT_POLICY, PLAN_LIMITS, ruleName, type TrackingPlan } from './tracking-plan.model.js';
import { isPlainName, ValueShape } from './value-shape.js';

/** Events that are described; further ones are left to be added by hand. */
const MAX_EVENTS = 200;
/** Names with an address, a number as ids have, or of a length that names do not have. */
const UNLIKE_A_NAME = /@|\d{5}|[0-9a-f]{8}-[0-9a-f]{4}-/i;
const MAX_NAME_LENGTH = 100;

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
    const seen = [...this.#seen.values()].sort((a, b) => b.count - a.count || (ruleName(a) < ruleName(b) ? -1 : 1));
    const policy = this.#leftOut === 0 ? DEFAULT_POLICY : { ...DEFAULT_POLICY, unplanned_event: 'ignore' as const };
    // How long YAML is shows once it is written.
    for (let maxBytes: number = PLAN_LIMITS.maxBytes; ; maxBytes = Math.floor(0.8 * maxBytes)) {
      const { rules, remarks } = draftRules(seen, maxBytes);
      const plan: TrackingPlan = { description: '', policy, events: rules };
      const text = planYaml(source, plan, remarks, this.#head());
      if (Buffer.byteLength(text) <= PLAN_LIMITS.maxBytes) return { plan, text, events: this.#events };
    }
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
    // There are a few kinds of calls only: all of them are described, however many events there are.
    if (!isName || (name !== null && this.#seen.size >= MAX_EVENTS)) return null;
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
