import type { DamagedRows } from '../events/damaged-rows.model.js';
import { grouped } from './export-progress.js';

/** What is said of events that an export is without; null: nothing. */
export function damageNote({ count, first }: DamagedRows): string | null {
  if (first === null) return null;
  const place = `position ${String(first.pos)}, partition ${String(first.part)}`;
  const events = count === 1 ? 'event of the log cannot be read and is' : 'events of the log cannot be read and are';
  return `note: ${grouped(count)} ${events} left out, the first at ${place}\n`;
}
