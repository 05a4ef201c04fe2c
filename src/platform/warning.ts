/** Something that is allowed and yet probably not what was meant. */
export interface Warning {
  /** What. */
  readonly message: string;
  /** `line:column` of a text, or the name of what is questioned. */
  readonly where: string;
  /** How to mend it. */
  readonly hint: string;
}

const MAX_SHOWN = 20;

/** For people: two lines each, at most twenty of them. */
export function warningText(warnings: readonly Warning[]): string {
  const lines = warnings
    .slice(0, MAX_SHOWN)
    .map(({ message, where, hint }) => `warning: ${message}; ${hint}\n${where === '' ? '' : `  at: ${where}\n`}`);
  const others = warnings.length - lines.length;
  return lines.join('') + (others > 0 ? `and ${String(others)} more warnings\n` : '');
}
