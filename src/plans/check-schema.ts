import { RE2JS } from 're2js';
import type { JsonValue } from '../events/event.model.js';
import { nearestName } from '../platform/near-names.js';
import { FORMATS } from './schema-formats.js';
import { isReservedName, isSchemaObject, type JsonSchema } from './tracking-plan.model.js';

/*
 * What a JSON Schema of a plan may be, so that checking an event with it takes bounded time whatever the event holds.
 *
 *  1. Keywords that are known (JSON Schema 2020-12, core, applicator and validation vocabularies), nothing else: a
 *     mistyped keyword would silently check nothing.
 *  2. `$ref` leads to the `$defs` of the same schema and never in a circle, and what it leads to counts wherever it is
 *     referred to: a few lines that refer to each other could stand for billions of checks.
 *     What counts are schemas and the code that checking them takes, because compiling it is what costs: 0.2 to 1.2 ms for
 *     each, once in a process, ahead of the events that need it.
 *  3. Patterns are RE2, which is linear in the text, and bounded, as the texts are that they look at.
 */

export const SCHEMA_LIMITS = {
  maxDepth: 12,
  /** Schemas within one, those behind `$ref` counted at each place. Compiled in 10 to 120 ms. */
  maxSchemas: 100,
  /** Of JSON. */
  maxBytes: 32 * 1024,
  maxEnumValues: 1_000,
  maxPatternLength: 256,
  /** Instructions of a compiled pattern, of which each may be looked at for each character of a text. */
  maxPatternSteps: 1_000,
  /** A longer text matches no pattern. */
  maxPatternTextLength: 1_024,
} as const;

export interface SchemaProblem {
  /** Within the schema: `items.type`; '' for all of it. */
  readonly path: string;
  readonly what: string;
  readonly hint: string;
}

type Shape =
  | 'any'
  | 'type'
  | 'names'
  | 'nameMap'
  | 'schema'
  | 'schemas'
  | 'schemaMap'
  | 'pattern'
  | 'patternMap'
  | 'format'
  | 'ref'
  | 'enum';

const KEYWORDS: Readonly<Record<string, Shape>> = {
  type: 'type',
  ...every('any', 'const', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'),
  ...every('any', 'minLength', 'maxLength', 'minItems', 'maxItems', 'uniqueItems', 'minContains', 'maxContains'),
  ...every('any', 'minProperties', 'maxProperties'),
  ...every('any', 'title', 'description', 'default', 'deprecated', 'examples', '$comment'),
  ...every('schema', 'items', 'contains', 'additionalProperties', 'propertyNames', 'if', 'then', 'else', 'not'),
  ...every('schemas', 'prefixItems', 'allOf', 'anyOf', 'oneOf'),
  ...every('schemaMap', 'properties', 'dependentSchemas', '$defs'),
  required: 'names',
  dependentRequired: 'nameMap',
  enum: 'enum',
  pattern: 'pattern',
  patternProperties: 'patternMap',
  format: 'format',
  $ref: 'ref',
};

function every(shape: Shape, ...names: string[]): Record<string, Shape> {
  return Object.fromEntries(names.map((name) => [name, shape]));
}

const TYPES: readonly string[] = ['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'];

const LOCAL_REF = /^#\/\$defs\/([^/~%]+)$/;

/** Of these, one is counted with its schema; each further lot of them is another schema to compile. */
const KEYWORDS_PER_SCHEMA = 8;
/** Values of `enum`, or names of `required`, that cost as much as a schema. */
const LISTED_PER_SCHEMA = 20;
/** Instructions of a pattern that count as a schema. */
const STEPS_PER_SCHEMA = 20;
/** With more than these, Ajv compiles a loop. */
const MAX_UNROLLED = 200;

export interface SchemaCheck {
  /** Why it cannot be used; empty if it can, as far as its structure goes. */
  readonly problems: readonly SchemaProblem[];
  /** Schemas that it stands for, itself and those behind each `$ref` included; at most `maxSchemas` without problems. */
  readonly size: number;
}

export function checkSchema(schema: JsonSchema): SchemaCheck {
  const checker = new SchemaChecker(schema);
  const size = checker.check();
  return { problems: checker.problems, size };
}

class SchemaChecker {
  readonly problems: SchemaProblem[] = [];
  readonly #root: JsonSchema;
  /** By definition and the levels that were left for it: what is flat enough at one place may be too deep at another. */
  readonly #sizes = new Map<string, number>();
  readonly #patterns = new Map<string, number>();
  #hasLargePattern = false;
  readonly #open = new Set<string>();

  constructor(root: JsonSchema) {
    this.#root = root;
  }

  check(): number {
    if (Buffer.byteLength(JSON.stringify(this.#root)) > SCHEMA_LIMITS.maxBytes) {
      this.#problem('', `is larger than ${String(SCHEMA_LIMITS.maxBytes)} bytes`, 'make it smaller');
      return 1;
    }
    const size = this.#sizeOf(this.#root, '', SCHEMA_LIMITS.maxDepth);
    if (size > SCHEMA_LIMITS.maxSchemas) {
      const what = `holds more than ${String(SCHEMA_LIMITS.maxSchemas)} schemas, those behind each $ref counted`;
      this.#problem('', what, 'ask for less');
    }
    return size;
  }

  /** Schemas that it stands for, itself included. */
  #sizeOf(schema: JsonValue | undefined, path: string, levels: number): number {
    if (typeof schema === 'boolean') return 1;
    if (!isSchemaObject(schema)) {
      this.#problem(path, 'is no schema', 'write a map such as { type: string }');
      return 1;
    }
    if (levels <= 0) {
      this.#problem(path, `is nested deeper than ${String(SCHEMA_LIMITS.maxDepth)} levels`, 'make it flatter');
      return 1;
    }
    const keywords = Object.keys(schema);
    let size = 1 + Math.floor(keywords.length / KEYWORDS_PER_SCHEMA);
    for (const keyword of keywords) {
      const value = schema[keyword];
      if (value !== undefined) size += this.#keyword(keyword, value, join(path, keyword), levels - 1);
    }
    return size;
  }

  #type(value: JsonValue, path: string): number {
    const names = Array.isArray(value) ? value : [value];
    const wrong = names.find((name) => typeof name !== 'string' || !TYPES.includes(name));
    if (names.length > 0 && wrong === undefined) return 0;
    const near = typeof wrong === 'string' ? nearestName(wrong, TYPES) : undefined;
    const hint = near === undefined ? `write one of ${TYPES.join(', ')}, or a list of them` : `did you mean ${near}?`;
    return this.#problem(path, typeof wrong === 'string' ? `is no type: ${wrong.slice(0, 50)}` : 'is no type', hint);
  }

  #keyword(keyword: string, value: JsonValue, path: string, levels: number): number {
    const shape = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
    switch (shape) {
      case 'schema':
        return this.#sizeOf(value, path, levels);
      case 'schemas':
        if (Array.isArray(value)) return sum(value, (each, i) => this.#sizeOf(each, join(path, String(i)), levels));
        return this.#problem(path, 'is no list', 'write a list of schemas');
      case 'schemaMap':
        return this.#map(value, path, levels);
      case 'patternMap':
        return (
          sum(isSchemaObject(value) ? Object.keys(value) : [], (pattern) => this.#pattern(pattern, path)) +
          this.#map(value, path, levels)
        );
      case 'pattern':
        return this.#pattern(value, path);
      case 'type':
        return this.#type(value, path);
      case 'format':
        return this.#format(value, path);
      case 'ref':
        return this.#ref(value, path, levels);
      case 'names':
        return listed(value);
      case 'nameMap':
        return isSchemaObject(value)
          ? sum(Object.values(value), (names) => 1 + (Array.isArray(names) ? names.length : 0))
          : 0;
      case 'enum':
        if (Array.isArray(value) && value.length <= SCHEMA_LIMITS.maxEnumValues) return listed(value);
        return this.#problem(path, 'is no list of values', `list at most ${String(SCHEMA_LIMITS.maxEnumValues)}`);
      case 'any':
        return 0;
      case undefined: {
        const near = nearestName(keyword, Object.keys(KEYWORDS));
        const hint = near === undefined ? 'see docs/tracking-plan.md for those that are' : `did you mean "${near}"?`;
        return this.#problem(path, 'is no keyword that can be used here', hint);
      }
    }
  }

  #map(value: JsonValue, path: string, levels: number): number {
    if (!isSchemaObject(value)) return this.#problem(path, 'is no map', 'write names with their schemas');
    return sum(Object.keys(value), (name) => {
      if (isReservedName(name))
        return this.#problem(join(path, name), 'is a name that no event can have', 'leave it out');
      // What nobody refers to is checked, and costs nothing.
      const size = this.#sizeOf(value[name], join(path, name), levels);
      return path === '$defs' ? 0 : size;
    });
  }

  #pattern(value: JsonValue, path: string): number {
    const { maxPatternLength } = SCHEMA_LIMITS;
    if (typeof value !== 'string' || value.length > maxPatternLength) {
      return this.#problem(path, 'is no pattern', `write a text of at most ${String(maxPatternLength)} characters`);
    }
    const known = this.#patterns.get(value);
    if (known !== undefined) return known;
    // Compiling a pattern that repeats much takes long: of several, one is enough.
    if (this.#hasLargePattern) return 0;
    try {
      const steps = RE2JS.compile(value).programSize();
      this.#hasLargePattern = steps > SCHEMA_LIMITS.maxPatternSteps;
      if (this.#hasLargePattern) return this.#problem(path, 'is a pattern that repeats too much', 'repeat less in it');
      const size = Math.floor(steps / STEPS_PER_SCHEMA);
      this.#patterns.set(value, size);
      return size;
    } catch {
      return this.#problem(path, 'is no RE2 pattern', 'use RE2 syntax: no lookaround and no backreferences');
    }
  }

  #format(value: JsonValue, path: string): number {
    if (typeof value === 'string' && FORMATS.has(value)) return 0;
    return this.#problem(path, 'is no format that is known', `use one of ${[...FORMATS.keys()].join(', ')}`);
  }

  #ref(value: JsonValue, path: string, levels: number): number {
    const name = typeof value === 'string' ? LOCAL_REF.exec(value)?.[1] : undefined;
    const definitions: JsonValue | undefined = isSchemaObject(this.#root) ? this.#root['$defs'] : undefined;
    if (name === undefined || !isSchemaObject(definitions) || !Object.hasOwn(definitions, name)) {
      return this.#problem(path, 'leads nowhere', 'refer to "#/$defs/<name>" of the same schema');
    }
    const place = `${String(levels)} ${name}`;
    const known = this.#sizes.get(place);
    if (known !== undefined) return known;
    if (this.#open.has(name)) return this.#problem(path, 'leads in a circle', 'write the levels out that you need');
    this.#open.add(name);
    const size = this.#sizeOf(definitions[name], join('$defs', name), levels);
    this.#open.delete(name);
    this.#sizes.set(place, size);
    return size;
  }

  #problem(path: string, what: string, hint: string): 0 {
    const isTold = this.problems.some((problem) => problem.path === path && problem.what === what);
    if (!isTold) this.problems.push({ path, what, hint });
    return 0;
  }
}

/** Schemas that a list of values or names costs as much as. */
function listed(value: JsonValue): number {
  return Array.isArray(value) ? Math.floor(Math.min(value.length, MAX_UNROLLED) / LISTED_PER_SCHEMA) : 0;
}

function sum<T>(items: readonly T[], valueOf: (item: T, index: number) => number): number {
  return items.reduce((total: number, item, i) => total + valueOf(item, i), 0);
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
