import type { Refusal } from '../events/accept.model.js';
import type { EventPlan, PlannedContent, PlanVerdict } from '../events/event-plan.model.js';
import { PRIVATE_PROPERTIES, type EventType, type JsonObject } from '../events/event.model.js';
import type { PlanViolation, ViolationRule } from '../events/plan-violation.model.js';
import { FIELD_NAME } from '../events/seen-names.model.js';
import { SchemaCompiler, type ValueCheck } from './schema-compiler.js';
import {
  contentOf,
  isReservedName,
  ruleName,
  type EventRule,
  type JsonSchema,
  type PlanAction,
  type PlanPolicy,
  type TrackingPlan,
} from './tracking-plan.model.js';

/** Violations of one event that are told; of a few, all. */
const MAX_VIOLATIONS = 20;
/** Of these, in words. */
const MAX_TOLD = 5;

/** A plan as a check of events. */
export interface CompiledPlan extends EventPlan {
  /** Compiles what is not yet compiled, one schema a step, so that others may go on in between. */
  prepare(): Generator<void>;
}

interface RulesOfType {
  readonly byName: ReadonlyMap<string, CompiledRule>;
  /** For those without a rule by name; null: they are not planned. */
  readonly other: CompiledRule | null;
}

/**
 * A plan as a check of events. Kinds of calls that it does not mention are none of its business, but for `track`: a plan
 * for events that is silent about page views does not make each of them a violation. Null: it never has anything to say.
 *
 * A schema is compiled at the first event that needs it, unless `prepare` was run through. That takes 0.12 s at worst for
 * the largest one that a plan may have, and more than a second for an event with all that an event may hold
 * (`SCHEMA_LIMITS`, `PLAN_LIMITS`): for plans whose authors are not known, prepare.
 */
export function compilePlan(plan: TrackingPlan): CompiledPlan | null {
  const compiler = new SchemaCompiler({ isNew: false });
  const rules = plan.events.map((rule) => new CompiledRule(rule, { ...plan.policy, ...rule.policy }, compiler));
  const isSilent = ({ policy }: { readonly policy: PlanPolicy }): boolean =>
    Object.values(policy).every((action) => action === 'ignore');
  if (isSilent(plan) && rules.every(isSilent)) return null;
  const types = new Map<EventType, RulesOfType>([['track', { byName: new Map(), other: null }]]);
  for (const type of new Set(rules.map((rule) => rule.type))) {
    const ofType = rules.filter((rule) => rule.type === type);
    types.set(type, {
      byName: new Map(ofType.flatMap((rule) => (rule.name === null ? [] : [[rule.name, rule] as const]))),
      other: ofType.find((rule) => rule.name === null) ?? null,
    });
  }
  const unplanned = unplannedVerdict(plan.policy.unplanned_event);
  return {
    check(event) {
      const ofType = types.get(event.type);
      if (ofType === undefined) return null;
      const rule = ofType.byName.get(nameOf(event)) ?? ofType.other;
      return rule === null ? unplanned(event) : rule.check(event);
    },
    *prepare() {
      for (const rule of rules) yield* rule.prepare();
    },
  };
}

function nameOf({ type, name, properties }: PlannedContent): string {
  if (type === 'track') return name;
  const given = properties['name'];
  return typeof given === 'string' ? given : '';
}

function unplannedVerdict(action: PlanAction): (event: PlannedContent) => PlanVerdict | null {
  if (action === 'ignore') return () => null;
  const violations: readonly PlanViolation[] = [{ rule: 'unplanned_event', path: '' }];
  return ({ type, properties, traits }) => {
    if (action === 'flag') return { properties, traits, violations, refusal: null };
    const refusal: Refusal = {
      code: 'SCHEMA',
      reason: `the tracking plan of the source has no ${type} event of this name (unplanned_event)`,
      hint: 'send it under the name that is planned, or add it to the plan',
    };
    return { properties, traits, violations, refusal };
  };
}

/** Its check is compiled when an event first has it, or ahead. */
interface PlannedProperty {
  readonly schema: JsonSchema;
  readonly isRequired: boolean;
  check: ValueCheck | null;
}

class CompiledRule {
  readonly type: EventType;
  readonly name: string | null;
  readonly policy: PlanPolicy;
  readonly #rule: EventRule;
  readonly #compiler: SchemaCompiler;
  readonly #content: 'properties' | 'traits';
  #properties: ReadonlyMap<string, PlannedProperty> | null = null;
  #conditions: readonly ValueCheck[] | null = null;

  constructor(rule: EventRule, policy: PlanPolicy, compiler: SchemaCompiler) {
    this.#rule = rule;
    this.policy = policy;
    this.#compiler = compiler;
    this.type = rule.type;
    this.name = rule.name;
    this.#content = contentOf(rule.type);
  }

  *prepare(): Generator<void> {
    const planned = this.#properties ?? this.#indexProperties();
    for (const property of planned.values()) {
      property.check ??= this.#compiler.compile(property.schema);
      // A function is compiled by the engine when it is first called.
      property.check(null);
      yield;
    }
    for (const condition of this.#conditions ?? this.#compileConditions()) {
      condition({});
      yield;
    }
  }

  #indexProperties(): ReadonlyMap<string, PlannedProperty> {
    const { properties, required } = this.#rule;
    const isRequired = new Set(required);
    const planned = new Map<string, PlannedProperty>();
    for (const [name, schema] of Object.entries(properties)) {
      planned.set(name, { schema, isRequired: isRequired.has(name), check: null });
    }
    for (const name of required) {
      if (!planned.has(name)) planned.set(name, { schema: true, isRequired: true, check: null });
    }
    return (this.#properties = planned);
  }

  #compileConditions(): readonly ValueCheck[] {
    return (this.#conditions = this.#rule.allOf.map((schema) => this.#compiler.compile(schema)));
  }

  check(event: PlannedContent): PlanVerdict | null {
    const planned = this.#properties ?? this.#indexProperties();
    const content = event[this.#content];
    const { required, additionalProperties } = this.#rule;
    let findings: Findings | null = null;
    let missing = required.length;
    for (const name of Object.keys(content)) {
      const value = content[name];
      // The log writes none of these, or they are Weft's own.
      if (value === undefined || isReservedName(name) || name === PRIVATE_PROPERTIES) continue;
      const property = planned.get(name);
      if (property === undefined) {
        if (additionalProperties) continue;
        findings ??= new Findings(this.policy);
        findings.add('unplanned_property', name, FIELD_NAME.test(name) ? name : '*', 'is not planned');
        continue;
      }
      if (property.isRequired) missing--;
      const check = (property.check ??= this.#compiler.compile(property.schema));
      const wrong = check(value);
      if (wrong !== null) (findings ??= new Findings(this.policy)).add('invalid_value', name, name, wrong);
    }
    if (missing > 0) {
      findings ??= new Findings(this.policy);
      for (const name of required) {
        if (content[name] === undefined || !Object.hasOwn(content, name)) {
          findings.add('missing_property', null, name, 'is missing');
        }
      }
    }
    for (const condition of this.#conditions ?? this.#compileConditions()) {
      const wrong = condition(content);
      if (wrong !== null) (findings ??= new Findings(this.policy)).add('invalid_value', null, '', wrong);
    }
    return findings === null ? null : this.#verdict(event, findings);
  }

  #verdict(event: PlannedContent, { told, dropped, refused }: Findings): PlanVerdict | null {
    if (told.length === 0) return null;
    const place = this.#content;
    const violations = told.map(({ rule, path }) => ({ rule, path: path === '' ? place : `${place}.${path}` }));
    const contents = { properties: event.properties, traits: event.traits };
    if (dropped.size > 0) contents[place] = without(event[place], dropped);
    return { ...contents, violations, refusal: refused.length === 0 ? null : this.#refusal(refused) };
  }

  #refusal(refused: readonly Finding[]): Refusal {
    const words = refused.slice(0, MAX_TOLD).map(({ rule, path, what }) => {
      const place = path === '' ? this.#content : `${this.#content}.${path}`;
      return `${place} ${what} (${rule})`;
    });
    const others = refused.length - words.length;
    if (others > 0) words.push(`and ${String(others)} more`);
    return {
      code: 'SCHEMA',
      reason: `${ruleName(this)} violates the tracking plan of the source: ${words.join('; ')}`,
      hint: 'send the event as it is planned, or change the plan',
    };
  }
}

interface Finding {
  readonly rule: ViolationRule;
  readonly path: string;
  readonly what: string;
}

/** What one event violates, sorted by what is to be done about it. */
class Findings {
  readonly told: Finding[] = [];
  readonly refused: Finding[] = [];
  readonly dropped = new Set<string>();

  constructor(private readonly policy: PlanPolicy) {}

  /** @param droppable name of the property that can be dropped; null: nothing can be, so that it is flagged instead */
  add(rule: ViolationRule, droppable: string | null, path: string, what: string): void {
    const action = this.policy[rule];
    if (action === 'ignore') return;
    if (action === 'drop' && droppable !== null) this.dropped.add(droppable);
    const finding = { rule, path, what };
    if (action === 'refuse' && this.refused.length < MAX_VIOLATIONS) this.refused.push(finding);
    if (this.told.length < MAX_VIOLATIONS) this.told.push(finding);
  }
}

function without(content: JsonObject, names: ReadonlySet<string>): JsonObject {
  return Object.fromEntries(Object.entries(content).filter(([name]) => !names.has(name)));
}
