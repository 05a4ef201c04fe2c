import { setImmediate } from 'node:timers/promises';
import { WeftError } from '../platform/errors.js';
import { checkSchema } from './check-schema.js';
import { PLAN_LIMITS, ruleName, type JsonSchema, type TrackingPlan } from './tracking-plan.model.js';

/** What an event may wait for while a plan is looked at, ms. */
const MAX_TURN_MS = 10;

/** Lets others go on between parts of long work, by the time that it took and not by how many parts there were. */
export class Turns {
  #beganAt = performance.now();

  /** Resolves at once, or after what else waits for the process. */
  async breathe(): Promise<void> {
    if (performance.now() - this.#beganAt < MAX_TURN_MS) return;
    await setImmediate();
    this.#beganAt = performance.now();
  }
}

export interface BudgetProblem {
  readonly what: string;
  readonly hint: string;
}

/** Counts the schemas that have to be compiled for a plan and for one event of it; equal ones are compiled once. */
export class SchemaBudget {
  readonly #ofPlan = new Set<string>();
  readonly #ofEvent = new Set<string>();
  #event = '';
  #planSize = 0;
  #eventSize = 0;

  /**
   * Schemas of one event come after another.
   * @param event as messages call it
   * @param size schemas that it stands for
   */
  add(event: string, schema: JsonSchema, size: number): BudgetProblem | null {
    if (event !== this.#event) {
      this.#event = event;
      this.#ofEvent.clear();
      this.#eventSize = 0;
    }
    const text = JSON.stringify(schema);
    if (!this.#ofEvent.has(text)) this.#eventSize += size;
    this.#ofEvent.add(text);
    if (!this.#ofPlan.has(text)) this.#planSize += size;
    this.#ofPlan.add(text);
    const { maxSchemasOfEvent, maxSchemas, maxDifferentSchemas } = PLAN_LIMITS;
    const hint = 'describe fewer properties, or more of them alike, or less of each';
    if (this.#eventSize > maxSchemasOfEvent) {
      return {
        what: `${event} holds more than ${String(maxSchemasOfEvent)} schemas in all, those behind each $ref counted`,
        hint,
      };
    }
    if (this.#planSize > maxSchemas) {
      return {
        what: `the plan holds more than ${String(maxSchemas)} schemas in all, those behind each $ref counted`,
        hint,
      };
    }
    if (this.#ofPlan.size > maxDifferentSchemas) {
      return { what: `there are more than ${String(maxDifferentSchemas)} different schemas`, hint };
    }
    return null;
  }
}

/**
 * Holds a stored plan against the limits: it may have been applied when they were wider.
 * @throws WeftError DEFINITION_INVALID
 */
export async function checkStoredPlan(plan: TrackingPlan): Promise<void> {
  const budget = new SchemaBudget();
  const turns = new Turns();
  for (const rule of plan.events) {
    const event = ruleName(rule);
    const schemas = [...Object.entries(rule.properties), ...rule.allOf.map((schema) => ['allOf', schema] as const)];
    for (const [name, schema] of schemas) {
      await turns.breathe();
      const { problems, size } = checkSchema(schema);
      const problem = problems[0] ?? budget.add(event, schema, size);
      if (problem === null) continue;
      throw new WeftError('DEFINITION_INVALID', `the plan is beyond what plans may hold: ${problem.what}`, {
        where: `${event}: ${name}`,
        hint: `${problem.hint}, and apply it again`,
      });
    }
  }
}
