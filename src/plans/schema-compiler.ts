import { Ajv2020 } from 'ajv/dist/2020.js';
import { RE2JS } from 're2js';
import type { JsonValue } from '../events/event.model.js';
import { SCHEMA_LIMITS } from './check-schema.js';
import { FORMATS } from './schema-formats.js';
import type { JsonSchema } from './tracking-plan.model.js';

/** Says what is wrong with a value, as `must be number`, without the value itself; null: nothing. */
export type ValueCheck = (value: JsonValue) => string | null;

/**
 * Compiles the schemas of one plan, equal ones once. Ajv keeps what it has compiled for as long as it lives, so there is
 * one for each version of a plan.
 */
export class SchemaCompiler {
  readonly #ajv: Ajv2020;
  readonly #checks = new Map<string, ValueCheck>();

  /**
   * @param isNew the schemas were not compiled before: they are held against JSON Schema's own schema, which takes about a
   * tenth of a second to get ready
   */
  constructor({ isNew }: { readonly isNew: boolean }) {
    const ajv = new Ajv2020({
      meta: isNew,
      validateSchema: isNew,
      strict: true,
      allowUnionTypes: true,
      strictRequired: false,
      strictTuples: false,
      allErrors: false,
      ownProperties: true,
      addUsedSchema: false,
      logger: false,
      code: { regExp: linearPattern },
    });
    for (const [name, validate] of FORMATS) ajv.addFormat(name, { type: 'string', validate });
    // That of the library compares each item with each.
    ajv.removeKeyword('uniqueItems');
    ajv.addKeyword({
      keyword: 'uniqueItems',
      type: 'array',
      schemaType: 'boolean',
      error: { message: 'must NOT have duplicate items' },
      validate: (isAsked: boolean, items: readonly JsonValue[]) => !isAsked || areDistinct(items),
    });
    this.#ajv = ajv;
  }

  /**
   * @param schema one in which `checkSchema` finds no problems
   * @throws Error where a keyword has a value that it cannot have, or cannot apply to the type
   */
  compile(schema: JsonSchema): ValueCheck {
    const text = JSON.stringify(schema);
    const known = this.#checks.get(text);
    if (known !== undefined) return known;
    const validate = this.#ajv.compile(schema);
    const check: ValueCheck = (value) => (validate(value) ? null : (validate.errors?.[0]?.message ?? 'is not valid'));
    this.#checks.set(text, check);
    return check;
  }
}

/** What Ajv uses in place of RegExp: RE2, which takes time linear in the text. */
function linearPattern(pattern: string): { test(text: string): boolean; toString(): string } {
  const compiled = RE2JS.compile(pattern);
  return {
    test: (text) => text.length <= SCHEMA_LIMITS.maxPatternTextLength && compiled.matcher(text).find(),
    toString: () => pattern,
  };
}
// Ajv writes this into the modules that it can generate; none are generated here.
linearPattern.code = 'linearPattern';

function areDistinct(items: readonly JsonValue[]): boolean {
  return new Set(items.map(canonicalText)).size === items.length;
}

/** Equal for values that are equal as JSON, in whatever order their fields are. */
function canonicalText(value: JsonValue): string {
  return JSON.stringify(value, (_key, each: JsonValue) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}
