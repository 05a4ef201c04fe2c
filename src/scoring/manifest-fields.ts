import { isKey, KEY_HINT } from '../platform/key.js';
import type { ModelProblem } from './model-manifest.model.js';

export type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads untyped fields and collects what is wrong with them instead of stopping at the first fault. After a fault the
 * methods return a harmless stand-in, so that reading goes on; the caller throws when `problems` is not empty.
 */
export class FieldChecker {
  readonly problems: ModelProblem[] = [];

  problem(where: string, message: string, hint: string): void {
    this.problems.push({ where, message, hint });
  }

  object(value: unknown, where: string): Fields {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
    this.problem(where, value === undefined ? 'is missing' : 'is not an object', 'give named fields');
    return {};
  }

  /** At least one item and at most `maxItems`; what exceeds the bound is not read. */
  list(value: unknown, where: string, maxItems: number): readonly unknown[] {
    if (!Array.isArray(value) || value.length === 0) {
      const message = value === undefined ? 'is missing' : 'is not a list of at least one item';
      this.problem(where, message, `give 1 to ${String(maxItems)} items`);
      return [];
    }
    if (value.length <= maxItems) return value;
    this.problem(where, `has ${String(value.length)} items`, `give at most ${String(maxItems)}`);
    return value.slice(0, maxItems);
  }

  text(value: unknown, where: string, maxLength: number): string {
    if (typeof value === 'string' && value.length > 0 && value.length <= maxLength && !value.includes('\0'))
      return value;
    const message = value === undefined ? 'is missing' : 'is not a text';
    this.problem(
      where,
      message,
      `give a text of 1 to ${String(maxLength)} characters, in quotes if it looks like a number`,
    );
    return '';
  }

  name(value: unknown, where: string): string {
    if (typeof value === 'string' && isKey(value)) return value;
    this.problem(where, value === undefined ? 'is missing' : 'is not a name', KEY_HINT);
    return '';
  }

  integer(value: unknown, where: string, max: number): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) return value;
    this.problem(where, 'is not a whole number', `give a whole number from 0 to ${String(max)}`);
    return 0;
  }

  /** Names that are each listed once. */
  names(value: unknown, where: string, maxItems: number): string[] {
    const names = this.list(value, where, maxItems).map((item, i) => this.name(item, `${where}[${String(i)}]`));
    this.unique(names, (i) => `${where}[${String(i)}]`);
    return names;
  }

  /** Stand-ins (empty texts) are passed over. */
  unique(values: readonly string[], where: (index: number) => string): void {
    const seen = new Set<string>();
    values.forEach((value, i) => {
      if (value !== '' && seen.has(value)) this.problem(where(i), `${value} is there twice`, 'list it once');
      seen.add(value);
    });
  }

  known(fields: Fields, where: string, allowed: readonly string[]): void {
    for (const name of Object.keys(fields)) {
      if (allowed.includes(name)) continue;
      this.problem(where === '' ? name : `${where}.${name}`, 'is not a known field', `known are ${allowed.join(', ')}`);
    }
  }
}
