import { isKey, KEY_HINT } from '../platform/key.js';
import { YamlFile, type YamlValue } from '../platform/yaml-file.js';
import { ANY_SOURCE, CONSENT_DEFAULTS, PURPOSE_LIMITS, type PurposeDefinition } from './purpose.model.js';

/** Fields at the top of a file of purposes. */
export const PURPOSE_FILE_FIELDS = ['purposes'];

const { maxPurposes, maxNameLength, maxDescriptionLength, maxExpiryDays, maxSources, maxCategories } = PURPOSE_LIMITS;
const FIELDS = ['key', 'name', 'description', 'default', 'expires_after_days', 'edge', 'categories'];

/**
 * Reads the purposes in a file: `purposes`, a list of `key` and, if wanted, `name` (default: the key), `description`,
 * `default` (`denied`, `granted` or `not_required`; default: `denied`), `expires_after_days` (default: never), `edge`
 * (default: false), which has edge keys told only of those who allow it, and `categories`: for each source, or `*` for
 * all others, the categories of its consent tool that ask for the purpose.
 *
 * @param file how messages call it
 * @param others further fields that the file may have; what they hold is read by somebody else
 * @throws WeftError DEFINITION_INVALID with every problem, one a line: `file:line:column: what; how to fix it`
 */
export function parsePurposes(text: string, file: string, others: readonly string[] = []): PurposeDefinition[] {
  const yaml = new YamlFile(text, file);
  yaml.throwProblems();
  const items =
    yaml.root
      .fields('the file', [...PURPOSE_FILE_FIELDS, ...others])
      ?.get('purposes')
      ?.items('purposes') ?? [];
  if (items.length > maxPurposes) yaml.root.problem('too many purposes', `define at most ${String(maxPurposes)}`);
  const taken = new Set<string>();
  const purposes = items.map((item) => readPurpose(item, taken)).filter((purpose) => purpose !== undefined);
  yaml.throwProblems();
  return purposes;
}

function readPurpose(item: YamlValue, taken: Set<string>): PurposeDefinition | undefined {
  const fields = item.fields('a purpose', FIELDS);
  if (fields === undefined) return undefined;
  const key = readKey(fields.get('key') ?? item, taken);
  const purpose = {
    name: fields.get('name')?.text('the name', maxNameLength) ?? key ?? '',
    description: fields.get('description')?.text('the description', maxDescriptionLength) ?? '',
    default: fields.get('default')?.oneOf('default', CONSENT_DEFAULTS) ?? 'denied',
    expiresAfterDays: fields.get('expires_after_days')?.integer('expires_after_days', 1, maxExpiryDays) ?? null,
    edge: fields.get('edge')?.bool('edge') ?? false,
    categories: readCategories(fields.get('categories')),
  };
  return key === undefined ? undefined : { key, ...purpose };
}

function readKey(item: YamlValue, taken: Set<string>): string | undefined {
  const key = item.scalar;
  if (typeof key !== 'string' || !isKey(key)) {
    return item.problem(`a purpose needs a key${typeof key === 'string' ? `, and "${key}" is none` : ''}`, KEY_HINT);
  }
  if (taken.has(key)) return item.problem(`the purpose ${key} is defined twice`, 'define it once');
  taken.add(key);
  return key;
}

function readCategories(value: YamlValue | undefined): Record<string, readonly string[]> {
  const entries = value?.entries('categories') ?? [];
  if (entries.length > maxSources)
    value?.problem('categories has too many sources', `name at most ${String(maxSources)}`);
  const categories: Record<string, readonly string[]> = {};
  for (const [source, list] of entries) {
    if (source !== ANY_SOURCE && !isKey(source)) {
      list.problem(`"${source}" is no key of a source`, `write the key of a source, or "${ANY_SOURCE}" for all others`);
      continue;
    }
    const items = list.items('the categories of a source') ?? [];
    if (items.length > maxCategories) list.problem('too many categories', `name at most ${String(maxCategories)}`);
    const names = items.flatMap((item) => item.text('a category', PURPOSE_LIMITS.maxCategoryLength) ?? []);
    categories[source] = [...new Set(names)].sort();
  }
  return categories;
}
