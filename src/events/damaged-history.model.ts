import { WeftError } from '../platform/errors.js';
import type { Uuid } from '../platform/ids.js';
import { eventUnlessDamaged, type DamagedRow } from './damaged-rows.model.js';
import { DamagedPayload } from './event-codec.js';
import type { LoggedEvent } from './event.model.js';
import { eventOfRow, type EventRow } from './event-row.model.js';
import type { Opened } from './event-seal.model.js';

/** What an event is to the work that cannot read it. */
type DamagedRole = 'stays' | 'is-taken-back';

const CONSEQUENCE: Readonly<Record<DamagedRole, string>> = {
  stays: '',
  'is-taken-back':
    ' in an event that is to be taken back, and what came of it cannot be told from what came of events that a retention removed',
};

/** An event cannot be read: what is left of its anchor cannot be worked out. */
export class DamagedHistory extends WeftError {
  constructor(
    readonly anchorId: Uuid,
    damaged: DamagedPayload,
    role: DamagedRole = 'stays',
  ) {
    super('INTERNAL', `${damaged.message}${CONSEQUENCE[role]}`, {
      ...(damaged.where === undefined ? undefined : { where: damaged.where }),
      hint: 'put the row back from a backup, then ask for it again',
      cause: damaged,
    });
  }
}

/** Told of a row whose bytes cannot be read, and which is passed over. */
export type OnDamaged = (row: DamagedRow) => void;

/** The events of rows. @throws DamagedHistory where nobody is told of one that cannot be read */
export function remainingOf(
  rows: readonly Opened<EventRow>[],
  onDamaged: OnDamaged | undefined,
  role?: DamagedRole,
): LoggedEvent[] {
  if (onDamaged !== undefined) return rows.flatMap((row) => eventUnlessDamaged(row, onDamaged) ?? []);
  return rows.map((row) => {
    try {
      return eventOfRow(row);
    } catch (error) {
      throw error instanceof DamagedPayload ? new DamagedHistory(row.anchor_id, error, role) : error;
    }
  });
}
