import type { IdentifierPolicy } from '../events/event.model.js';
import type { Uuid } from '../platform/ids.js';

/** Values of one text that are looked at; what is beyond is not. */
const MAX_VALUES = 5_000;

/** What values are looked for as. */
export interface IdentifierForms {
  readonly namespaces: readonly string[];
  /** By which telephone numbers may be written, besides that of the rules. */
  readonly regions: readonly string[];
}

/** Only what has so many digits can be a telephone number, which another region reads otherwise. */
const MAYBE_PHONE = /(?:\p{Nd}\P{Nd}*){4}/u;

/** Ids of all identifiers of these forms that the values of a JSON text could be, or the text where it is no JSON. */
export function identifiersIn(text: string, policy: IdentifierPolicy, forms: IdentifierForms): Uuid[] {
  return valuesIn(text).flatMap((value) => identifiersOf(value, policy, forms));
}

/** Ids of the identifiers of these forms that a value could be, or could have been by former rules. */
export function identifiersOf(value: string, policy: IdentifierPolicy, forms: IdentifierForms): Uuid[] {
  const regions = MAYBE_PHONE.test(value) ? [null, ...forms.regions] : [null];
  return forms.namespaces.flatMap((ns) =>
    regions.flatMap((region) => {
      const { identifiers, formerIds = [] } = policy.resolve([{ ns, value }], { authenticated: true, region });
      return [...identifiers.map(({ id }) => id), ...formerIds];
    }),
  );
}

/** Every text and number of a JSON text, keys too; of a text that is no JSON, itself. */
function valuesIn(text: string): string[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // Cut short, or never JSON: what stands in quotes, and the whole of it.
    return [
      text,
      ...(text.match(/"(?:[^"\\]|\\.)*"/g) ?? []).slice(0, MAX_VALUES).map((quoted) => quoted.slice(1, -1)),
    ];
  }
  const values: string[] = [];
  const open: unknown[] = [json];
  for (let value = open.pop(); value !== undefined && values.length < MAX_VALUES; value = open.pop()) {
    if (typeof value === 'string') values.push(value);
    else if (typeof value === 'number') values.push(String(value));
    else if (Array.isArray(value)) open.push(...(value as unknown[]));
    else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        values.push(key);
        open.push(inner);
      }
    }
  }
  return values;
}
