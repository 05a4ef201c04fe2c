import { EVENT_TYPES, type EventType } from '../events/event.model.js';
import { VIOLATION_RULES, type ViolationRule } from '../events/plan-violation.model.js';
import { WeftError } from '../platform/errors.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { YamlFile, type YamlValue } from '../platform/yaml-file.js';
import { checkSchema } from './check-schema.js';
import { SchemaBudget, Turns } from './schema-budget.js';
import { SchemaCompiler } from './schema-compiler.js';
import {
  contentOf,
  DEFAULT_POLICY,
  isReservedName,
  PLAN_LIMITS,
  POSSIBLE_ACTIONS,
  ruleName,
  type EventRule,
  type JsonSchema,
  type PlanAction,
  type PlanPolicy,
  type TrackingPlan,
} from './tracking-plan.model.js';

const PLAN_FIELDS = ['tracking_plan', 'description', 'policy', 'events'] as const;
const EVENT_FIELDS = [
  'type',
  'name',
  'description',
  'policy',
  'required',
  'properties',
  'traits',
  'additionalProperties',
  'allOf',
] as const;

export interface ParsedPlan {
  /** Key of the source that the plan is for. */
  readonly source: string;
  readonly plan: TrackingPlan;
}

/** A schema with the place where it stands. */
interface PlacedSchema {
  readonly schema: JsonSchema;
  readonly value: YamlValue;
  /** As messages call it. */
  readonly event: string;
  readonly property: string;
}

/** Time that this process has had of its processors, ms. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/**
 * Reads a plan as its author writes it: YAML 1.2, or JSON.
 * @param file how messages call it
 * @param nowMs what compiling is measured by
 * @throws WeftError DEFINITION_INVALID with every problem and its place; PAYLOAD_TOO_LARGE
 */
export async function parsePlan(text: string, file: string, nowMs: () => number = processorMs): Promise<ParsedPlan> {
  if (Buffer.byteLength(text) > PLAN_LIMITS.maxBytes) {
    throw new WeftError('PAYLOAD_TOO_LARGE', `${file} is larger than ${String(PLAN_LIMITS.maxBytes)} bytes`, {
      where: file,
      hint: 'describe less, or fewer events',
    });
  }
  const yaml = new YamlFile(text, file);
  const schemas: PlacedSchema[] = [];
  const parsed = readPlan(yaml.root, schemas);
  yaml.throwProblems();
  await checkAll(schemas);
  yaml.throwProblems();
  await compileAll(schemas, nowMs);
  yaml.throwProblems();
  if (parsed === undefined) throw new Error('a plan without problems could not be read');
  return parsed;
}

function readPlan(root: YamlValue, schemas: PlacedSchema[]): ParsedPlan | undefined {
  const fields = root.fields('a tracking plan', PLAN_FIELDS);
  if (fields === undefined) return undefined;
  const source = fields.get('tracking_plan')?.text('tracking_plan', 63);
  if (source === undefined && !fields.has('tracking_plan')) {
    root.problem('the plan does not say which source it is for', 'write tracking_plan: <key of the source>');
  } else if (source !== undefined && !isKey(source)) fields.get('tracking_plan')?.problem('is no key', KEY_HINT);
  const policy = readPolicy(fields.get('policy'));
  const events = readEvents(fields.get('events'), schemas);
  const description = readDescription(fields.get('description'));
  if (source === undefined) return undefined;
  return { source, plan: { description, policy: { ...DEFAULT_POLICY, ...policy }, events } };
}

function readDescription(value: YamlValue | undefined): string {
  return value?.text('a description', PLAN_LIMITS.maxDescriptionLength) ?? '';
}

function readPolicy(value: YamlValue | undefined): Partial<PlanPolicy> {
  const policy: Partial<Record<ViolationRule, PlanAction>> = {};
  for (const [rule, action] of value?.fields('a policy', VIOLATION_RULES) ?? []) {
    const name = rule as ViolationRule;
    const chosen = action.oneOf(`what to do about ${name}`, POSSIBLE_ACTIONS[name]);
    if (chosen !== undefined) policy[name] = chosen;
  }
  return policy;
}

function readEvents(value: YamlValue | undefined, schemas: PlacedSchema[]): EventRule[] {
  const items = value?.items('events') ?? [];
  if (items.length > PLAN_LIMITS.maxEvents) {
    value?.problem('events are too many', `describe at most ${String(PLAN_LIMITS.maxEvents)}`);
    return [];
  }
  const names = new Set<string>();
  return items.flatMap((item) => {
    const rule = readEvent(item, schemas);
    if (rule === undefined) return [];
    const name = ruleName(rule);
    if (names.has(name)) item.problem(`${name} is described twice`, 'keep one of them');
    names.add(name);
    return [rule];
  });
}

function readEvent(item: YamlValue, schemas: PlacedSchema[]): EventRule | undefined {
  const fields = item.fields('an event', EVENT_FIELDS);
  if (fields === undefined) return undefined;
  const type = fields.has('type') ? fields.get('type')?.oneOf('type', EVENT_TYPES) : 'track';
  if (type === undefined) return undefined;
  const name = fields.get('name')?.text('name', PLAN_LIMITS.maxNameLength) ?? null;
  if (type === 'track' && name === null) {
    return item.problem('a track event needs a name', 'write name: <as it is sent in "event">');
  }
  if (name !== null && type !== 'track' && type !== 'page' && type !== 'screen') {
    return item.problem(`an event of type ${type} has no name`, 'leave the name out');
  }
  const rule = ruleName({ type, name });
  const additional = fields.get('additionalProperties')?.bool('additionalProperties');
  const properties = readProperties(fields, type, rule, schemas);
  return {
    type,
    name,
    description: readDescription(fields.get('description')),
    policy: readPolicy(fields.get('policy')),
    required: readRequired(fields.get('required')),
    properties,
    additionalProperties: additional ?? false,
    allOf: readConditions(fields.get('allOf'), rule, schemas),
  };
}

/** What a group call calls traits belongs to the group, and is kept as properties. */
function readProperties(
  fields: ReadonlyMap<string, YamlValue>,
  type: EventType,
  event: string,
  schemas: PlacedSchema[],
): Record<string, JsonSchema> {
  const wanted = contentOf(type);
  const [properties, traits] = [fields.get('properties'), fields.get('traits')];
  const wrong = wanted === 'traits' ? properties : type === 'group' ? undefined : traits;
  wrong?.problem(`an event of type ${type} has ${wanted} to be described`, `write ${wanted}:`);
  if (properties !== undefined && traits !== undefined) {
    traits.problem('properties and traits are the same here', 'write one of them');
  }
  const value = wanted === 'traits' ? traits : (properties ?? (type === 'group' ? traits : undefined));
  const entries = value?.entries(wanted) ?? [];
  if (entries.length > PLAN_LIMITS.maxProperties) {
    value?.problem(`${wanted} are too many`, `describe at most ${String(PLAN_LIMITS.maxProperties)}`);
    return {};
  }
  const named = entries.filter(([name, each]) => checkName(each, name));
  return Object.fromEntries(named.map(([name, each]) => [name, readSchema(each, event, name, schemas)]));
}

function checkName(value: YamlValue, name: string): boolean {
  if (name !== '' && name.length <= PLAN_LIMITS.maxNameLength && !isReservedName(name)) return true;
  value.problem('no property can have this name', `use 1 to ${String(PLAN_LIMITS.maxNameLength)} characters`);
  return false;
}

/** `name:` with nothing behind it plans a property of any kind. */
function readSchema(value: YamlValue, event: string, property: string, schemas: PlacedSchema[]): JsonSchema {
  const schema = (value.json() ?? true) as JsonSchema;
  schemas.push({ schema, value, event, property });
  return schema;
}

function readRequired(value: YamlValue | undefined): string[] {
  const names = (value?.items('required') ?? []).flatMap((item) => {
    const name = item.text('a required property', PLAN_LIMITS.maxNameLength);
    return name !== undefined && checkName(item, name) ? [name] : [];
  });
  if (names.length > PLAN_LIMITS.maxProperties) {
    value?.problem('required are too many', `require at most ${String(PLAN_LIMITS.maxProperties)}`);
  }
  return [...new Set(names)];
}

function readConditions(value: YamlValue | undefined, event: string, schemas: PlacedSchema[]): JsonSchema[] {
  const items = value?.items('allOf') ?? [];
  if (items.length > PLAN_LIMITS.maxConditions) {
    value?.problem('allOf has too many schemas', `write at most ${String(PLAN_LIMITS.maxConditions)}`);
    return [];
  }
  return items.map((item) => readSchema(item, event, 'allOf', schemas));
}

/** Notes what is wrong with the structure of schemas, and where they are too many. */
async function checkAll(schemas: readonly PlacedSchema[]): Promise<void> {
  const budget = new SchemaBudget();
  const turns = new Turns();
  let faulty = 0;
  for (const { schema, value, event } of schemas) {
    await turns.breathe();
    const { problems, size } = checkSchema(schema);
    for (const { path, what, hint } of problems)
      value.problem(path === '' ? `the schema ${what}` : `${path} ${what}`, hint);
    if (problems.length > 0 && ++faulty >= MAX_FAULTY_SCHEMAS) return;
    const beyond = problems.length > 0 ? null : budget.add(event, schema, size);
    if (beyond === null) continue;
    value.problem(beyond.what, beyond.hint);
    return;
  }
}

/** Notes what only the compiler can tell: keywords with values that they cannot have, or for another type; and how long it took. */
async function compileAll(schemas: readonly PlacedSchema[], nowMs: () => number): Promise<void> {
  const compiler = new SchemaCompiler({ isNew: true });
  // Gets JSON Schema's own schema ready, which is no property's fault.
  compiler.compile({});
  const turns = new Turns();
  let totalMs = 0;
  for (const { schema, value, event, property } of schemas) {
    await turns.breathe();
    const beganMs = nowMs();
    try {
      compiler.compile(schema);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      value.problem(`the schema cannot be: ${message.slice(0, MAX_MESSAGE_LENGTH)}`, 'mend it');
    }
    const tookMs = nowMs() - beganMs;
    totalMs += tookMs;
    const { maxCompileMs, maxPlanCompileMs } = PLAN_LIMITS;
    if (tookMs <= maxCompileMs && totalMs <= maxPlanCompileMs) continue;
    const what =
      tookMs > maxCompileMs
        ? `property ${property} of ${event} takes`
        : `the plan up to property ${property} of ${event} takes`;
    const limitMs = tookMs > maxCompileMs ? maxCompileMs : maxPlanCompileMs;
    value.problem(`${what} more than ${String(limitMs)} ms to compile`, 'ask for less, or refer to less with $ref');
    return;
  }
}

const MAX_MESSAGE_LENGTH = 300;
/** After these the others are not looked at: more problems would not be told. */
const MAX_FAULTY_SCHEMAS = 50;
