/** Which identifiers belong to which person: what identity resolution is judged by, never an input to it. */
export class TruthTable {
  readonly #rows = new Set<string>();

  /** `value` in normalised form: e-mail in lower case, telephone as E.164, handle without `@`. Empty values are ignored. */
  add(personId: string, ns: string, value: string): void {
    if (value !== '') this.#rows.add(`${personId},${ns},${value}`);
  }

  /** CSV with header `person_id,ns,value`, sorted. An identifier that two people share has a row for each. */
  toCsv(): string {
    return ['person_id,ns,value', ...[...this.#rows].sort()].join('\n') + '\n';
  }
}

/** One line of CSV (RFC 4180): cells with a comma, a quote or a line break are quoted. */
export function csvLine(cells: readonly (string | number)[]): string {
  return cells
    .map((cell) => {
      const text = String(cell);
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    })
    .join(',');
}
