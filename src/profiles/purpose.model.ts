import { changedFields, type DefinitionChange, type FieldValue } from '../platform/changed-fields.js';
import { isKey, KEY_HINT } from '../platform/key.js';
import { nameHint } from '../platform/near-names.js';
import type { YamlValue } from '../platform/yaml-file.js';

/**
 * What counts for somebody who has said nothing of a purpose, or whose word has run out. `not_required`: the purpose
 * rests on something other than consent, and what is said of it gates nothing.
 */
export const CONSENT_DEFAULTS = ['denied', 'granted', 'not_required'] as const;
export type ConsentDefault = (typeof CONSENT_DEFAULTS)[number];

/** What data of people may be used for, as a file declares it. */
export interface PurposeDefinition {
  readonly key: string;
  /** For people; default: the key. */
  readonly name: string;
  readonly description: string;
  readonly default: ConsentDefault;
  /** How long a word counts that says nothing of it itself, days; null: until another one. */
  readonly expiresAfterDays: number | null;
  /** Whether edge keys, which sit in browsers, are told only of those who allow it. */
  readonly edge: boolean;
  /** By which categories consent tools ask for it: by key of the source, `*` for all that are not named. */
  readonly categories: Readonly<Record<string, readonly string[]>>;
}

/** For sources that are not named in `categories`. */
export const ANY_SOURCE = '*';

/** Lengths in UTF-16 units. */
export const PURPOSE_LIMITS = {
  maxPurposes: 50,
  maxNameLength: 200,
  maxDescriptionLength: 4_000,
  /** Ten years. */
  maxExpiryDays: 3_660,
  /** That purposes have categories for. */
  maxSources: 100,
  /** Of a purpose, by one source. */
  maxCategories: 50,
  maxCategoryLength: 200,
} as const;

/** What applying definitions of purposes would do; keys. */
export interface PurposePlan {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  /** In what those differ that are changed: by the names that fields have in files. */
  readonly changes: readonly DefinitionChange[];
  readonly removed: readonly string[];
}

/** @param prune also removes the purposes that are not among those given */
export function planPurposes(
  standing: readonly PurposeDefinition[],
  given: readonly PurposeDefinition[],
  prune: boolean,
): PurposePlan {
  const before = new Map(standing.map((purpose) => [purpose.key, purpose]));
  const keys = new Set(given.map(({ key }) => key));
  const changes = given.flatMap((purpose) => {
    const was = before.get(purpose.key);
    const fields = was === undefined ? [] : changedFields(fieldsOf(was), fieldsOf(purpose));
    return fields.length === 0 ? [] : [{ name: purpose.key, fields }];
  });
  return {
    added: given.map(({ key }) => key).filter((key) => !before.has(key)),
    changed: changes.map(({ name }) => name),
    changes,
    removed: prune ? standing.map(({ key }) => key).filter((key) => !keys.has(key)) : [],
  };
}

/** Whether more is found in events by the second than by the first: what they carry is to be looked at anew. */
export function findsMore(before: readonly PurposeDefinition[], after: readonly PurposeDefinition[]): boolean {
  const known = new Map(before.map((purpose) => [purpose.key, purpose]));
  return after.some((purpose) => {
    const standing = known.get(purpose.key);
    return standing === undefined || textOf(standing.categories) !== textOf(purpose.categories);
  });
}

/** All that a definition says, as a file would; categories as JSON. */
function fieldsOf({ name, description, edge, categories, ...rest }: PurposeDefinition): Record<string, FieldValue> {
  return {
    default: rest.default,
    expires_after_days: rest.expiresAfterDays,
    edge,
    categories: Object.keys(categories).length === 0 ? null : textOf(categories),
    name,
    description,
  };
}

function textOf(categories: PurposeDefinition['categories']): string {
  return JSON.stringify(Object.fromEntries(Object.entries(categories).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** Most purposes that one segment, feature view or model needs. */
export const MAX_NEEDED_PURPOSES = 10;

/** Reads the list of purposes that something in a file needs; whether there are such is checked elsewhere. */
export function readNeededPurposes(list: YamlValue | undefined): string[] {
  const items = list?.items('purposes') ?? [];
  if (items.length > MAX_NEEDED_PURPOSES) {
    list?.problem('too many purposes are needed', `name at most ${String(MAX_NEEDED_PURPOSES)}`);
  }
  const keys = items.flatMap((item) => {
    const key = item.text('a purpose', PURPOSE_LIMITS.maxNameLength);
    if (key === undefined || isKey(key)) return key ?? [];
    item.problem(`"${key}" is no key of a purpose`, KEY_HINT);
    return [];
  });
  return [...new Set(keys)].sort();
}

/** Says which of the purposes needed there is not, and how to mend it; null: there are all of them. */
export function unknownPurpose(
  needed: readonly string[],
  known: ReadonlySet<string>,
): { readonly message: string; readonly hint: string } | null {
  const missing = needed.find((key) => !known.has(key));
  if (missing === undefined) return null;
  const hint = nameHint(missing, known, 'declare it first, under purposes in a file that weft apply takes');
  return { message: `there is no purpose ${missing.slice(0, 100)}`, hint };
}
