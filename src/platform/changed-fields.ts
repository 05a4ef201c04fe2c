export type FieldValue = string | number | boolean | null;

/** A field of a definition that says something else than before. Null: nothing. */
export interface FieldChange {
  readonly field: string;
  readonly before: FieldValue;
  readonly after: FieldValue;
}

/** A definition that is to say something else, and in what. */
export interface DefinitionChange {
  readonly name: string;
  readonly fields: readonly FieldChange[];
}

/** Longest value in texts for people, in code points. */
const MAX_SHOWN_LENGTH = 80;

/**
 * @param unsaid what fields mean that one of the two leaves out
 * @returns by the order in which the fields stand in the first, then in the second
 */
export function changedFields(
  before: Readonly<Record<string, FieldValue>>,
  after: Readonly<Record<string, FieldValue>>,
  unsaid: Readonly<Record<string, FieldValue>> = {},
): FieldChange[] {
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const said = (all: Readonly<Record<string, FieldValue>>, field: string): FieldValue =>
    all[field] ?? unsaid[field] ?? null;
  return fields
    .map((field) => ({ field, before: said(before, field), after: said(after, field) }))
    .filter((change) => change.before !== change.after);
}

/** For people: `limit 5 -> 1, window ever -> 30d`. Long values are cut short. */
export function changedFieldsText(changes: readonly FieldChange[]): string {
  return changes.map(changeText).join(', ');
}

function changeText({ field, before, after }: FieldChange): string {
  const [was, is] = [shownValue(before), shownValue(after)];
  return was === is ? `${field} differs` : `${field} ${was} -> ${is}`;
}

function shownValue(value: FieldValue): string {
  const text = value === null || value === '' ? 'none' : String(value);
  const letters = Array.from(text);
  return letters.length > MAX_SHOWN_LENGTH ? `${letters.slice(0, MAX_SHOWN_LENGTH - 1).join('')}…` : text;
}
